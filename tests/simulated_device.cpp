// What autograd and autocast ask of CUDA, answered on a machine without it: there is one device, and its stream does nothing.
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

using namespace c10;

struct Hooks : at::CUDAHooksInterface {
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
};

struct Guard : impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  Device getDevice() const override { return {DeviceType::CUDA, 0}; }
  Device exchangeDevice(Device) const override { return getDevice(); }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, getDevice()); }
  Stream exchangeStream(Stream) const noexcept override { return Stream(Stream::DEFAULT, getDevice()); }
  void record(void**, const Stream&, const DeviceIndex, const EventFlag) const override {}
  void block(void*, const Stream&) const override {}
};

static impl::DeviceGuardImplRegistrar guard(DeviceType::CUDA, new Guard());

// torch makes its hooks once, at its first import: so theirs are told to answer as ours while the device is simulated.
extern "C" void simulate(bool on) {
  static Hooks ours;
  auto hooks = (void**)&at::detail::getCUDAHooks();
  static void* theirs = *hooks;
  *hooks = on ? *(void**)&ours : theirs;
}
