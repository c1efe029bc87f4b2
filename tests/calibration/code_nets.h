// A convolution and a pooling on codes, as integer operators compute them, and
// the same on floats.
#pragma once

namespace lathe::test {

inline constexpr char kOnCodes[] = R"(graph main {
    input %x: float[N,2,4,4]
    init %sx = float[] {0.02}
    init %zx = uint8[] {128}
    init %sw = float[] {0.02}
    init %zw = int8[] {0}
    init %sr = float[] {0.03}
    init %zr = uint8[] {128}
    init %w_quantized = int8[2,2,1,1] {50, 25, -12, 100}
    %x_quantized: uint8[N,2,4,4] = QuantizeLinear(%x, %sx, %zx)
    %r_quantized: uint8[N,2,4,4] = QLinearConv(%x_quantized, %sx, %zx, %w_quantized, %sw, %zw, %sr, %zr) @conv_quant
    %m_quantized: uint8[N,2,4,4] = MaxPool(%r_quantized) {kernel_shape = [1, 1]}
    %y: float[N,2,4,4] = DequantizeLinear(%m_quantized, %sr, %zr)
    output %y
  })";

inline constexpr char kOnFloats[] = R"(graph main {
    input %x: float[N,2,4,4]
    init %w = float[2,2,1,1] {1, 0.5, -0.25, 2}
    %r: float[N,2,4,4] = Conv(%x, %w) @conv
    %m: float[N,2,4,4] = MaxPool(%r) {kernel_shape = [1, 1]} @max
    %y: float[N,2,4,4] = Identity(%m) @same
    output %y
  })";

}  // namespace lathe::test
