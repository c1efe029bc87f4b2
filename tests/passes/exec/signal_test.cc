// Fourier transforms and windows beside the runtime.
#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

TEST_CASE("DFT") {
  for (const char* attributes :
       {"", ", axis = 2", ", onesided = 1", ", axis = 2, onesided = 1"})
    for (const char* last : {"1", "2"}) {
      const std::string text = attributes;
      // A transform of complex numbers has no symmetric half.
      if (text.find("onesided") != std::string::npos && *last == '2') continue;
      same_as_runtime(std::string("input %x: float[2,6,5,") + last +
                          "] %y = DFT(%x) {inverse = 0" + text + "} output %y",
                      {.opset = 17, .tolerance = 1e-4, .seed = 1});
    }
  same_as_runtime("input %x: float[2,6,2] %y = DFT(%x) {inverse = 1} output %y",
                  {.opset = 17, .tolerance = 1e-4, .seed = 1});
  for (const char* length : {"4", "9"})
    same_as_runtime(std::string("input %x: float[2,6,1] init %l = int64[] {") +
                        length + "} %y = DFT(%x, %l) output %y",
                    {.opset = 17, .tolerance = 1e-4, .seed = 1});
  same_as_runtime(
      "input %x: float[2,6,5,2] init %a = int64[] {1} "
      "%y = DFT(%x, _, %a) output %y",
      {.opset = 20, .tolerance = 1e-4, .seed = 1});
}

TEST_CASE("DFT back from half a spectrum") {
  const at::Tensor x = at::randn({2, 6});
  const at::Tensor half = at::view_as_real(at::fft_rfft(x, c10::nullopt, 1));
  const auto y = run_program(
      "input %x: float[2,4,2] init %l = int64[] {6} "
      "%y = DFT(%x, %l) {inverse = 1, onesided = 1} output %y",
      {half.contiguous()});
  CHECK(at::allclose(y[0], x.unsqueeze(-1), 1e-4, 1e-5));
}

TEST_CASE("STFT") {
  const CompareOptions close{.opset = 17, .tolerance = 1e-4, .seed = 1};
  same_as_runtime(
      "input %x: float[2,20,1] init %s = int64[] {3} init %l = int64[] {8} "
      "%y = STFT(%x, %s, _, %l) output %y",
      close);
  same_as_runtime(
      "input %x: float[2,20,1] input %w: float[8] init %s = int64[] {4} "
      "%y = STFT(%x, %s, %w) {onesided = 1} output %y",
      close);
  same_as_runtime(
      "input %x: float[1,16,2] init %s = int64[] {4} init %l = int64[] {8} "
      "%y = STFT(%x, %s, _, %l) {onesided = 0} output %y",
      close);
  // Of a complex signal, the runtime's window is another.
  const at::Tensor x = at::randn({1, 12, 2}), w = at::rand({8});
  const at::Tensor second = x.narrow(1, 4, 8) * w.unsqueeze(1);
  const auto y = run_program(
      "input %x: float[1,12,2] input %w: float[8] init %s = int64[] {4} "
      "%y = STFT(%x, %s, %w) {onesided = 0} output %y",
      {x, w});
  CHECK(at::allclose(
      y[0].select(1, 1),
      at::view_as_real(at::fft_fft(at::view_as_complex(second.contiguous()))),
      1e-4, 1e-5));
}

TEST_CASE("windows") {
  for (const char* op : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    for (const char* attributes :
         {"periodic = 1", "periodic = 0", "output_datatype = 11"})
      same_as_runtime(std::string("init %n = int64[] {10} %w = ") + op +
                      "(%n) {" + attributes +
                      "} %t = Cast(%w) {to = 1} input %x: float[10] "
                      "%y = Mul(%t, %x) output %y");
}

TEST_CASE("MelWeightMatrix") {
  same_as_runtime(
      "input %x: float[8] init %b = int64[] {8} init %l = int64[] {64} "
      "init %r = int64[] {8000} init %f = float[] {20.0} "
      "init %t = float[] {3800.0} %m = MelWeightMatrix(%b, %l, %r, %f, %t) "
      "%y = Mul(%m, %x) output %y");
  CHECK_THROWS_WITH_AS(
      run_program(
          "input %b: int64[] init %l = int64[] {64} init %r = int64[] {8000} "
          "init %f = float[] {20.0} init %t = float[] {38000.0} "
          "%y = MelWeightMatrix(%b, %l, %r, %f, %t) @mel output %y",
          {at::full({}, 4, at::kLong)}),
      "MelWeightMatrix 'mel': it cannot be computed on these inputs: its "
      "frequencies lie outside of the DFT",
      Error);
}

}  // namespace
}  // namespace lathe::test
