// The models of ../shared that tests go over, with shapes for free dimensions
// that their defaults do not suit.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/shape_inference.h"

namespace lathe::test {

struct RealModel {
  std::string file;  // below models/
  ir::InputShapes shapes;
  bool half = false;  // computes in float16 somewhere
};

inline const std::vector<RealModel>& real_models() {
  static const std::vector<RealModel> kModels = {
      {"anomaly_mlperf_tiny_autoencoder/model.onnx", {}},
      {"cifar10_mlperf_tiny_resnet8/model.onnx", {}},
      {"cifar10_resnet20/model.onnx", {}},
      {"cifar10_resnet56/model.onnx", {}},
      {"face_ultraface_rfb_320/model.onnx", {}},
      {"face_ultraface_slim_320/model.onnx", {}},
      {"imagenet_mobilenet_v1_025_128/model.onnx", {}},
      {"imagenet_mobilenet_v1_050_160/model.onnx", {}},
      {"imagenet_mobilenet_v2/model.onnx", {}},
      {"imagenet_squeezenet1_1/model.onnx", {}},
      {"kws_mlperf_tiny_dscnn/model.onnx", {}},
      {"lm_stories260k/model.onnx", {{"input_ids", {2, 5}}}},
      {"mnist_cntk_opset8/model.onnx", {}},
      {"segment_deeplabv3_mnv2_dm05/model.onnx", {}},
      {"vad_silero/silero_vad.onnx",
       {{"input", {1, 576}}, {"state", {2, 1, 128}}}},
      {"vad_silero/silero_vad_half.onnx",
       {{"input", {1, 576}}, {"state", {2, 1, 128}}},
       true},
  };
  return kModels;
}

}  // namespace lathe::test
