// A kernel as a device runs it: what a latency is asked of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "passes/base/json.h"

namespace lathe {

// Arithmetic of a kernel.
enum class Precision { kFp32, kFp16, kInt8, kOther };
const char* to_string(Precision precision);  // "fp32", "fp16", "int8", "other"

// How a kernel's activations lie in memory.
enum class Layout {
  kPlain,       // as ONNX says: NCHW, or no image at all
  kBlocked,     // NCHWc, channels in blocks of the vector width
  kInterleaved  // NHWC
};
const char* to_string(Layout layout);  // "plain", "blocked", "interleaved"

// One kernel, its shapes bound. Fields that a kind does not have are 0 (sizes)
// or their defaults. A solver edits widths here and asks again.
struct KernelDescriptor {
  // Kernels of one kind share a predictor. "conv2d", "depthwise_conv2d",
  // "grouped_conv2d", "conv_transpose2d", "gemm", "matmul", "max_pool",
  // "average_pool", "global_average_pool", "softmax", "layer_normalization",
  // "concat", "split", "transpose", "resize", "reorder_input",
  // "reorder_output", "quantize_linear", "dequantize_linear", "add", "mul",
  // "relu", "sigmoid", …: the operator in snake case where nothing else is
  // said. Precision and layout are not part of it. One-dimensional convolutions
  // are conv2d of height 1, pooling likewise.
  std::string kind;
  Precision precision = Precision::kFp32;
  Layout layout = Layout::kPlain;

  // Windows: convolutions and pooling. Sizes alone: reorders and whatever works
  // in the blocked layout. A resize's kernel are the pixels that one pixel is
  // made of: 1 (nearest), 2 (linear) or 4 (cubic) along each axis.
  int64_t batch = 0;
  int64_t in_channels = 0, in_height = 0, in_width = 0;
  int64_t out_channels = 0, out_height = 0, out_width = 0;
  int64_t kernel_height = 0, kernel_width = 0;
  int64_t stride_height = 0, stride_width = 0;
  int64_t dilation_height = 0, dilation_width = 0;
  int64_t group = 0;

  // Products: `matrices` times [rows, depth] x [depth, columns]. Transposes:
  // `matrices` times [rows, columns] runs change places; rows and columns 0
  // where more than one axis moves.
  int64_t matrices = 0, rows = 0, depth = 0, columns = 0;
  bool transposed_a = false, transposed_b = false;
  bool constant_b = false;  // packed once, before the first run

  // Every kernel. Bytes of activations read, of constants read, of results
  // written; flops counts a multiply-accumulate as two.
  int64_t bytes_in = 0, bytes_weights = 0, bytes_out = 0, flops = 0;
  int64_t elements = 0;  // of the (first) result
  int64_t inputs = 0;    // activations read: Concat's branches, Add's terms
  // Elements that lie side by side in what is read and written alike: the run
  // that a broadcast, a Concat, a Split, a Transpose, a Softmax, a reduction
  // works on at a time; of a quantization, what shares a scale. 0 where it says
  // nothing.
  int64_t run = 0;

  // All weights plus the largest activations of the network around the kernel:
  // says which cache its weights wait in between two runs. 0: unknown.
  int64_t working_set = 0;
  // Bytes that other kernels touch between the last use of this kernel's inputs
  // and the kernel: their reuse distance, the mean over the inputs by size.
  // Says which cache they come from. 0: written just before, or unknown.
  int64_t reuse_distance = 0;
  // Bytes that all kernels of a run touch: the weights' reuse distance. 0:
  // unknown.
  int64_t traffic = 0;

  bool fused_add = false;  // a convolution that adds another value
  std::string activation;  // fused: "relu", "clip", …; empty: none

  bool operator==(const KernelDescriptor&) const = default;
};

// The kernel at other widths: sizes, bytes and flops follow. Convolutions (of
// a depthwise one both widths are `out_channels`) and products, whose depth and
// columns they are; other kinds scale with `in_channels`. Widths from 1.
KernelDescriptor with_widths(KernelDescriptor kernel, int64_t in_channels,
                             int64_t out_channels);
// The same work in fp32 or int8, in the layout that the runtime runs it in
// there: int8 convolutions interleaved; fp32 ones as `fp32_layout` says.
KernelDescriptor with_precision(KernelDescriptor kernel, Precision precision,
                                Layout fp32_layout = Layout::kBlocked);

// Equal descriptors have equal hashes.
size_t hash_value(const KernelDescriptor& kernel);

// An object with the fields that differ from their default, by name.
Json to_json(const KernelDescriptor& kernel);
// Error kInput with `where` when it is no such object.
KernelDescriptor kernel_from_json(const Json& json, const std::string& where);

}  // namespace lathe
