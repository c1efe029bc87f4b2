// The architectures of the zoo, with the sizes that their builders let choose.
// Batch 1, opset 17, fp32; convolutions carry their folded normalization as a
// bias. Image sizes are pixels of a side.
#pragma once

#include <cstdint>

#include "passes/ir/graph.h"
#include "tests/zoo/blocks.h"

namespace lathe::zoo {

// He et al. (2016), with the stride in the 3x3 of bottlenecks.
ir::Model resnet18(uint64_t seed, const Widths& widths, int64_t size,
                   bool keep_batch_norm = false);
ir::Model resnet50(uint64_t seed, const Widths& widths, int64_t size);

// Howard et al. (2017); Sandler et al. (2018).
ir::Model mobilenet_v1(uint64_t seed, const Widths& widths, int64_t size);
ir::Model mobilenet_v2(uint64_t seed, const Widths& widths, int64_t size);

// Howard et al. (2019); Tan and Le (2019).
ir::Model mobilenet_v3_large(uint64_t seed, const Widths& widths, int64_t size);
ir::Model efficientnet_b0(uint64_t seed, const Widths& widths, int64_t size);

// Iandola et al. (2016), version 1.1; Simonyan and Zisserman (2015),
// configuration A.
ir::Model squeezenet(uint64_t seed, const Widths& widths, int64_t size);
ir::Model vgg11(uint64_t seed, const Widths& widths, int64_t size);
// Its convolutions with a global average and one linear layer behind them.
ir::Model vgg11_pooled(uint64_t seed, const Widths& widths, int64_t size);

// Ma et al. (2018), 1.0x; Huang et al. (2017).
ir::Model shufflenet_v2(uint64_t seed);
ir::Model densenet121(uint64_t seed);

// Liu et al. (2022).
ir::Model convnext_tiny(uint64_t seed);

// Touvron et al. (2021), ViT of 192 channels; Turc et al. (2019), two layers,
// inputs of 128 tokens.
ir::Model vit_tiny(uint64_t seed);
ir::Model bert_tiny(uint64_t seed);

// Zhang et al. (2017), DS-CNN of 276 channels, and Choi et al. (2019),
// TC-ResNet14, which convolves over time alone; one second of log-mel features,
// 98 frames of 40, twelve words.
ir::Model speech_ds_cnn(uint64_t seed);
ir::Model speech_tc_resnet(uint64_t seed);

// Ronneberger et al. (2015) with padded convolutions, 16 channels at full
// resolution, 21 classes a pixel. Size: a multiple of 16.
ir::Model unet(uint64_t seed, const Widths& widths, int64_t size);
// Bilinear upsampling in the place of transposed convolutions.
ir::Model unet_resize(uint64_t seed, const Widths& widths, int64_t size);

}  // namespace lathe::zoo
