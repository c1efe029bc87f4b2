// Whether tensors fit a session's inputs. Internal.
#pragma once

#include <string>
#include <vector>

#include "calibration/latency/session.h"

namespace lathe::latency {

// Error kInput, with `where` as its place, when an input is missing, given
// twice, unknown (neither an input nor an overridable initializer), or of
// another type or shape.
void check_inputs(const std::string& where,
                  const std::vector<TensorInfo>& inputs,
                  const std::vector<TensorInfo>& overridable,
                  const NamedTensors& given);

// Error kInput when the model has no such output.
void check_output(const std::string& where,
                  const std::vector<TensorInfo>& outputs,
                  const std::string& name);

}  // namespace lathe::latency
