"""Pages in a browser: whole at every width, short on a phone and on paper, legible in the dark, read by pointing."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from audit_records import NASTY, THREATS, audited, bare, put
from brittle.report import Audited, read_paper, write_index, write_page, write_paper

RESULTS = Path(__file__).parents[1] / "results"
PHONE, DESK = (390, 844), (1280, 900)
ILLEGIBLE = """
const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const parts = (colour) => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const behind = (e) => { for (; e; e = e.parentElement) {
  const c = parts(getComputedStyle(e).backgroundColor);
  if (c.length < 4 || c[3] === 1) return c;
} return [255, 255, 255]; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const bad = [];
for (const e of document.querySelectorAll("body *:not(script, title)")) {
  const drawn = e instanceof SVGElement, style = getComputedStyle(e);
  const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (text && e.getClientRects().length) {
    const colour = drawn ? style.fill : style.color, found = ratio(parts(colour), behind(e));
    if (found < 4.4) bad.push(`${e.textContent.trim().slice(0, 30)}: ${colour} ${found.toFixed(2)}`);
  }
  if (drawn && e.tagName === "path" && parseFloat(style.strokeWidth) >= 1.4 && style.stroke !== "none") {
    const found = ratio(parts(style.stroke), behind(e));
    if (found < 3) bad.push(`line ${style.stroke} ${found.toFixed(2)}`);
  }
}
return bad;
"""


def full(name: str = "a net", *more: str) -> Audited:
    """An audit as large as a thorough one: ten attacks and twelve images shown in each of three threats and `more`."""
    names = [*THREATS, *more]
    whole = audited(name, 0.6, wall=12 * len(names), size=28, channels=1)
    record = whole.record
    record["threats"] += [record["threats"][0] | {"threat": threat} for threat in more]
    for example in record["examples"]:
        example["broken_by"] |= dict.fromkeys(more)
    for threat in record["threats"]:
        threat["attacks"] = (threat["attacks"] * 10)[:10]
    for k, shown in enumerate(record["wall"]):
        shown |= {"threat": names[k // 12], "label": k % 10, "answer": (k + 1) % 10}
    record["checks"] = (record["checks"] * 15)[:29]
    for check in record["checks"][1:]:
        check["level"] = "fine"
    return whole


def see(browser: webdriver.Chrome, page: Path, size: tuple[int, int], **media: str) -> None:
    """Open a page at a size, with the media's features ("prefers-color-scheme")."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "screen", "features": features})
    browser.get(page.as_uri())


def sheets(browser: webdriver.Chrome) -> int:
    """How many A4 pages the page takes on paper."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True, "preferCSSPageSize": True}
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.fixture(params=["one audit", "two audits", "index", "paper"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind = request.param
    if kind == "index":
        for k, name in enumerate(("a net", "another", "third")):
            put(tmp_path / "runs" / f"run {k}", audited(name, 0.3 * k, seed=k))
        return write_index(tmp_path / "runs")[0]
    if kind == "paper":
        return write_paper(*read_paper(RESULTS / "li2019-laptop"), tmp_path / "paper")
    return write_page([full(name) for name in ("a net", "another")[: 1 + kind.startswith("two")]], tmp_path / "it.html")


def test_a_page_is_whole_and_legible_on_desk_and_phone_in_light_and_dark(page: Path, browser: webdriver.Chrome) -> None:
    for size in (DESK, PHONE):
        for scheme in ("light", "dark"):
            see(browser, page, size, prefers_color_scheme=scheme)
            browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
            assert browser.execute_script(ILLEGIBLE) == []
            background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.get_log("browser") == []


def test_no_column_is_hidden_without_a_hint(page: Path, browser: webdriver.Chrome) -> None:
    hinted = set()
    for size in (DESK, PHONE):
        see(browser, page, size)
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        browser.execute_async_script("const done = arguments[0]; setTimeout(done, 200)")
        wide = browser.execute_script(
            "return [...document.querySelectorAll('table')].map(t => { const s = t.closest('.scroll');"
            "  return [t.getBoundingClientRect().right > document.documentElement.clientWidth,"
            "    s !== null && s.nextElementSibling.offsetHeight > 0]; })"
        )
        assert all(hint or not beyond for beyond, hint in wide)
        hinted |= {hint for _, hint in wide}
    assert hinted == {True, False}


def test_the_summary_fits_on_three_screens_of_a_phone(tmp_path: Path, browser: webdriver.Chrome) -> None:
    for audits in ([full()], [full("standard"), full("robust")], [full(f"net {k}") for k in range(5)]):
        see(browser, write_page(audits, tmp_path / "it.html"), PHONE)
        top = browser.execute_script("return document.querySelector('details').getBoundingClientRect().top")
        assert 0 < top <= 3 * PHONE[1]
        assert not browser.find_elements(By.CSS_SELECTOR, "details[open]")


def test_an_audit_takes_at_most_four_sheets_of_paper(tmp_path: Path, browser: webdriver.Chrome) -> None:
    seven = full("a net", "Linf:0.1", "L2:2", "L0:3", "Spatial:10,1")
    for audits in ([full()], [full("standard"), full("robust")], [seven]):
        see(browser, write_page(audits, tmp_path / "it.html"), DESK, prefers_color_scheme="dark")
        assert 1 < sheets(browser) <= 4


def test_curves_are_read_off_by_pointing(tmp_path: Path, browser: webdriver.Chrome) -> None:
    whole = audited("a net", 0.6)
    see(browser, write_page([whole], tmp_path / "it.html"), DESK)
    drawn = browser.find_element(By.CSS_SELECTOR, "svg:has(#m1-curves-figure_1)")
    places = drawn.find_elements(By.CSS_SELECTOR, ".readings rect")
    curve = whole.record["threats"][0]["curve"]
    assert len(places) == sum(eps <= curve["radius"] for eps in curve["eps"]) < len(curve["eps"]), "an older record"
    ActionChains(browser).scroll_to_element(drawn).move_to_element(places[3]).perform()
    read = drawn.find_element(By.XPATH, "following-sibling::output").text
    assert read.startswith("eps × ")
    assert f"Linf {curve['eps'][3]:.3g} {100 * curve['accuracy'][3]:.1f} % [" in read
    training = browser.find_element(By.CSS_SELECTOR, "svg:has(#m1-training-figure_1)")
    titles = training.find_elements(By.CSS_SELECTOR, ".readings title")
    assert titles[1].get_attribute("textContent") == "epoch 2: clean 95.0 % · robust 70.0 % · loss 0.5"


def test_no_script_but_ours_runs(tmp_path: Path, browser: webdriver.Chrome) -> None:
    path = write_page([audited("a net", 0.6)], tmp_path / "it.html")
    path.write_text(path.read_text("utf-8").replace("</main>", "<script>document.title = 'hacked'</script></main>"))
    see(browser, path, DESK)
    assert browser.title == "Audit of a net"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
    assert browser.find_element(By.CSS_SELECTOR, ".copy").is_displayed()  # ours does


def test_an_index_is_sorted_by_any_column(tmp_path: Path, browser: webdriver.Chrome) -> None:
    for k, name in enumerate(("b net", "a net", f"c {NASTY}")):
        put(tmp_path / "runs" / f"run {k}", audited(name, (0.2, 0.9, 0.5)[k], seed=k))
    (tmp_path / "runs" / "run 1" / "report.html").touch()
    see(browser, write_index(tmp_path / "runs")[0], DESK)

    def names() -> list[str]:
        return [one.text.split("\n")[0] for one in browser.find_elements(By.CSS_SELECTOR, "tbody th")]

    heads = {one.text.split(" ")[0]: one for one in browser.find_elements(By.CSS_SELECTOR, "thead th")}
    by_union = names()
    assert by_union[0] == "a net"
    heads["Model"].find_element(By.TAG_NAME, "button").click()
    assert names() == [f"c {NASTY}", "b net", "a net"]
    heads["Model"].find_element(By.TAG_NAME, "button").click()
    assert names() == ["a net", "b net", f"c {NASTY}"]
    heads["union"].find_element(By.TAG_NAME, "button").click()
    assert names() == by_union
    (link,) = browser.find_elements(By.CSS_SELECTOR, "tbody a")
    assert link.get_attribute("href") == (tmp_path / "runs" / "run 1" / "report.html").as_uri()


def test_a_browser_shows_all_there_is_and_asks_for_nothing_else(tmp_path: Path, browser: webdriver.Chrome) -> None:
    two = [audited("robust net", 0.8), audited("standard net", 0.1, channels=1, size=28, seed=1)]
    whole = [*two, bare(audited("a-name-" * 12 + NASTY, 0.4))]
    path = write_page(whole, tmp_path / "page.html", title="the title")
    for width in (375, 1200):
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(path.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.execute_script("return window.innerWidth") == width
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.title == "the title"

    rows = [
        len(table.find_elements(By.CSS_SELECTOR, "tbody tr")) for table in browser.find_elements(By.TAG_NAME, "table")
    ]
    assert rows == [3, 5, 5, 5, *([2, 2, 1, 3, 200] * 2), 2, 2, 1]  # comparison, cards, then model by model
    cells = browser.find_elements(By.CSS_SELECTOR, "td:not(.track, .wall *), th, dd, figcaption")
    assert all(cell.get_property("innerText").strip() for cell in cells)
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert len(browser.find_elements(By.TAG_NAME, "img")) == 3 * (4 + 4) + 2 * 2  # and one example in each card
    drawn = "return [...document.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height > 100).length"
    assert browser.execute_script(drawn) == len(browser.find_elements(By.TAG_NAME, "svg")) == 9

    command = browser.find_element(By.CSS_SELECTOR, ".command code")
    assert command.get_attribute("textContent") == two[0].record["verdict"]["next"]
    button = browser.find_element(By.CSS_SELECTOR, ".command button")
    button.click()
    assert button.is_displayed()

    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen | {"width": 690})  # A4 between its margins
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 690
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = false)")
    for folded in browser.find_elements(By.TAG_NAME, "details"):
        assert folded.is_displayed() == (folded.get_dom_attribute("class") == "prints")
    assert browser.execute_script("return document.querySelector('#run .facts').checkVisibility()")
    assert not browser.execute_script("return document.querySelector('#words .facts').checkVisibility()")

    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert path.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
