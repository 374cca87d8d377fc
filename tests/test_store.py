"""A store behind a URL: files first, the entry last and once; digests; a cache here; locks end with their holder."""

import errno
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from brittle.ground import BrittleError
from brittle.studies import Store, declaration_of, hash_of, plan, run_graph, run_node, shared
from test_nodes import TOP, Note, last
from test_studies import small

KEY = hash_of(Note("a"))


@pytest.fixture(params=["memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Store]:
    """`place("here")` is the store as the machine `here` sees it."""
    url = f"memory://{tmp_path}" if request.param == "memory" else f"file://{tmp_path}/shared"
    return lambda machine: Store(url, tmp_path / machine)


def write(store: Store, text: str) -> Path:
    """A result with this text, as a machine makes it."""
    (store.work(KEY) / "note.txt").write_text(text)
    return store.finish(KEY, declaration_of(Note("a")), ("note.txt",))


def test_what_one_machine_has_made_another_finds(place: Callable[[str], Store]) -> None:
    one, other = place("one"), place("other")
    list(run_graph(plan([small()], one, "cpu"), one, device="cpu"))
    last(TOP, one)
    assert all(event.stored for event in run_node(TOP, other, device="cpu"))
    (row,) = plan([small()], other, "cpu")
    assert row.stored
    folders = [store.read(row.key, small().results)[0] for store in (one, other)]
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders if folder)
    assert first == second
    assert set(first) == {"model.safetensors", "entry.json"}


def test_what_other_code_of_ours_has_made_is_not_served(
    place: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place("one"), "first")
    monkeypatch.setattr("brittle.studies.store.OWN_CODE", "0" * 64)
    changed = place("one")
    assert changed.read(KEY, ("note.txt",)) == (None, None)
    assert (write(changed, "second") / "note.txt").read_text() == "second"
    assert not list(changed.work("other").iterdir())
    monkeypatch.undo()
    found, _ = place("one").read(KEY, ("note.txt",))  # nothing is lost
    assert found is not None
    assert (found / "note.txt").read_text() == "first"


def test_of_two_results_the_first_counts(place: Callable[[str], Store]) -> None:
    assert (write(place("one"), "first") / "note.txt").read_text() == "first"
    assert (write(place("other"), "second") / "note.txt").read_text() == "first"
    found, _ = place("third").read(KEY, ("note.txt",))
    assert found is not None
    assert (found / "note.txt").read_text() == "first"


def test_files_go_first_and_without_an_entry_there_is_no_result(place: Callable[[str], Store]) -> None:
    store = place("one")
    write(store, "first")
    assert store.shared is not None
    files, path = store.shared.files, f"{store.shared.path}/{KEY}"
    (digest,) = json.loads(files.cat_file(f"{path}/entry.json"))["files"].values()
    assert files.cat_file(f"{path}/{digest}") == b"first"
    files.rm_file(f"{path}/entry.json")
    assert place("other").read(KEY, ("note.txt",)) == (None, None)


@pytest.mark.parametrize("harm", ["flip", "remove", "entry"])
def test_a_damaged_result_is_removed_reported_and_made_again(place: Callable[[str], Store], harm: str) -> None:
    store = place("one")
    write(store, "first")
    assert store.shared is not None
    files, path = store.shared.files, f"{store.shared.path}/{KEY}"
    (digest,) = json.loads(files.cat_file(f"{path}/entry.json"))["files"].values()
    if harm == "remove":
        files.rm_file(f"{path}/{digest}")
    else:
        files.pipe_file(f"{path}/{'entry.json' if harm == 'entry' else digest}", b"fi")
    found, warning = place("other").read(KEY, ("note.txt",))
    assert found is None
    assert "was damaged" in str(warning)
    assert (write(place("other"), "second") / "note.txt").read_text() == "second"
    third, warning = place("third").read(KEY, ("note.txt",))
    assert third is not None
    assert warning is None
    (third / "note.txt").write_text("harmed here")  # is had again from there
    again, warning = place("third").read(KEY, ("note.txt",))
    assert again is not None
    assert (again / "note.txt").read_text() == "second"
    assert warning is None


def test_what_is_forgotten_is_forgotten_everywhere(place: Callable[[str], Store]) -> None:
    write(place("one"), "first")
    place("one").forget(KEY)
    place("one").forget(KEY)
    assert place("other").read(KEY) == (None, None)
    assert (write(place("other"), "second") / "note.txt").read_text() == "second"


def test_a_lock_keeps_others_out_and_that_of_a_dead_holder_is_taken_over(
    place: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "LEASE", 0.8)
    order: list[str] = []

    def wait_for_it() -> None:
        with place("other").lock(KEY):
            order.append("other")

    other = threading.Thread(target=wait_for_it)
    with place("one").lock(KEY):
        other.start()
        time.sleep(2.0)  # longer than a lease: its holder lives
        order.append("one")
    other.join()
    assert order == ["one", "other"]
    store = place("one").shared
    assert store is not None
    assert not store.files.exists(f"{store.path}/{KEY}.lock")
    store.files.pipe_file(f"{store.path}/{KEY}.lock", b"of a machine that is gone")
    began = time.monotonic()
    wait_for_it()
    assert time.monotonic() - began > 0.8
    monkeypatch.setattr(shared, "LEASE", 60.0)
    ended = subprocess.Popen(["true"])
    ended.wait()
    store.files.pipe_file(f"{store.path}/{KEY}.lock", f"{socket.gethostname()} {ended.pid} word 3".encode())
    began = time.monotonic()
    wait_for_it()  # a process of this machine that is gone
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("url", ["nothing://bucket", "file:///proc/nothing"])
def test_a_url_that_cannot_be_used_is_one_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match=f"results cannot be kept in {url}"):
        last(Note("a"), Store(url, tmp_path))


def test_the_commands_take_a_url(
    tmp_path: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path}"
    monkeypatch.setenv("BRITTLE_STORE", url)
    words = ("train", "--data", "digits", "--net", "linear", "--epochs", "1", "--device", "cpu")
    assert run(*words, "--out", "one")[0] == 0
    files, path = fsspec.url_to_fs(url)
    assert [name for name in files.find(path) if name.endswith("/entry.json")]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    code, _, said = run(*words, "--out", "two")
    assert code == 0
    assert "stored" in said
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_an_entry_that_is_being_written_is_no_result_and_harms_none(place: Callable[[str], Store]) -> None:
    store, other = place("one"), place("other")
    assert store.shared is not None
    assert other.shared is not None
    there = f"{store.shared.path}/{KEY}/entry.json"
    store.shared.files.pipe_file(there, b"")
    assert other.read(KEY, ("note.txt",)) == (None, None)
    assert store.shared.files.exists(there)
    assert (write(store, "first") / "note.txt").read_text() == "first"  # it was left by a machine that died
    assert other.read(KEY, ("note.txt",))[0] is not None


def test_a_disk_that_fails_at_the_moment_costs_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    folder = write(store, "first")

    def failing(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("brittle.studies.store._digest", failing)
        with pytest.raises(BrittleError, match="Input/output error"):
            store.read(KEY, ("note.txt",))
    assert store.read(KEY, ("note.txt",)) == (folder, None)


def test_what_another_process_has_fetched_meanwhile_counts(
    place: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place("one")
    assert store.shared is not None
    publish = store.shared.publish

    def then_fetched(key: str, folder: Path) -> bool:
        done = publish(key, folder)
        assert place("one").read(KEY, ("note.txt",))[0] is not None
        return done

    monkeypatch.setattr(store.shared, "publish", then_fetched)
    assert (write(store, "first") / "note.txt").read_text() == "first"
