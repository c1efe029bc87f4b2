// Where a node of a torch.export program comes from, for names and messages.
#pragma once

#include <string>
#include <string_view>

#include "passes/io/torch/exported/exported_program_json.h"

namespace lathe::io::exported {

// The path of the innermost module out of a nn_module_stack
// ("L__self__,,resnet.ResNet;L__self___fc,fc,torch.nn.Linear" -> "fc").
std::string module_path(std::string_view nn_module_stack);

// The innermost line out of a stack_trace: "resnet.py:79 in forward"; empty
// when there is none.
std::string source_line(std::string_view stack_trace);

struct NodePlace {
  std::string module, source;
  // "torch.ops.aten.conv2d.default in layer1.0 (resnet.py:79 in forward)".
  std::string describe(const std::string& target) const;
};

// `outer_module` where the node itself does not say.
NodePlace node_place(const JsonField& node, const std::string& outer_module);

}  // namespace lathe::io::exported
