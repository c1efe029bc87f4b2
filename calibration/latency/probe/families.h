// The kinds of networks that are measured, one function each: it adds a whole
// network, from inputs to outputs, to an empty builder. Internal.
#pragma once

#include "calibration/latency/probe/network_builder.h"

namespace lathe::latency {

// families_image.cc: convolutions on images
void add_residual(NetworkBuilder& b);    // ResNet-18, with its cifar forms
void add_bottleneck(NetworkBuilder& b);  // ResNet-50
void add_plain(NetworkBuilder& b);       // VGG, darknet
void add_inception(NetworkBuilder& b);   // branches, 1x7 and 7x1
void add_grouped(NetworkBuilder& b);     // ResNeXt, RegNet
void add_fire(NetworkBuilder& b);        // SqueezeNet
void add_dense(NetworkBuilder& b);       // DenseNet
void add_heavy(NetworkBuilder& b);       // few layers, many weights

// families_mobile.cc: depthwise convolutions
void add_inverted(NetworkBuilder& b);   // MobileNetV2/V3, EfficientNet
void add_separable(NetworkBuilder& b);  // MobileNetV1
void add_shuffle(NetworkBuilder& b);    // ShuffleNetV2
void add_convnext(NetworkBuilder& b);

// families_sequence.cc
void add_transformer(NetworkBuilder& b);  // BERT, ViT
void add_mlp(NetworkBuilder& b);
void add_speech(NetworkBuilder& b);  // one-dimensional, non-square
void add_recurrent(NetworkBuilder& b);

// families_pixels.cc
void add_unet(NetworkBuilder& b);
void add_large(NetworkBuilder& b);  // few layers on many pixels

// families_operators.cc: soups of one sort of operators
void add_elementwise(NetworkBuilder& b);
void add_pooling(NetworkBuilder& b);
void add_movement(NetworkBuilder& b);

// families_detector.cc
void add_detector(NetworkBuilder& b);  // SSD, YOLO: many short rows

// families_tiny.cc: microseconds a kernel
void add_tiny(NetworkBuilder& b);         // images
void add_tiny_dense(NetworkBuilder& b);   // autoencoders, heads
void add_tiny_speech(NetworkBuilder& b);  // one-dimensional
void add_tiny_tokens(NetworkBuilder& b);  // language models

// What the image families share. A network spends its multiply-accumulates in
// equal shares on stages of falling resolution.
struct ImagePlan {
  double macs = 0;
  int64_t stages = 3;
  int64_t size = 64;  // of the input, pixels a side
};
ImagePlan plan_image(NetworkBuilder& b, double low_macs, double high_macs);

// A width for which `cost` * width^2 stays within `share`.
int64_t width_within(NetworkBuilder& b, double share, double cost,
                     double most = 640);
double area(const ir::Value* image);

// [1, C, frames] to [1, C], the mean of the frames.
ir::Value* pool_frames(NetworkBuilder& b, ir::Value* x);

// Squeeze and excitation; `gate` as NetworkBuilder::activate.
ir::Value* add_gate(NetworkBuilder& b, ir::Value* x, int64_t squeezed,
                    const char* inner, const char* gate);

}  // namespace lathe::latency
