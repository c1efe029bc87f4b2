// Where a plan is cut for gradient checkpointing, and how its parts run.
#include <algorithm>
#include <cmath>
#include <set>

#include "passes/exec/checkpoint.h"
#include "passes/exec/plan.h"

namespace lathe::exec {

bool Plan::is_hooked(const Step& step, const std::vector<Hook>& hooks) const {
  return std::ranges::any_of(step.outputs, [&](int slot) {
    return slot >= 0 && hooks[static_cast<size_t>(slot)];
  });
}

std::vector<size_t> Plan::cuts(size_t count,
                               const std::vector<Hook>& hooks) const {
  // kept[p]: bytes that the steps before p compute. alive[p]: those of them
  // that are read from p on.
  std::vector<double> kept(steps_.size() + 1, 0), alive(steps_.size() + 1, 0);
  double now = 0;
  std::set<int> computed;
  for (size_t i = 0; i < steps_.size(); ++i) {
    kept[i + 1] = kept[i];
    for (int slot : steps_[i].outputs) {
      if (slot < 0) continue;
      computed.insert(slot);
      kept[i + 1] += slot_bytes_[static_cast<size_t>(slot)];
      now += slot_bytes_[static_cast<size_t>(slot)];
    }
    for (int slot : steps_[i].released)
      if (computed.contains(slot))
        now -= slot_bytes_[static_cast<size_t>(slot)];
    alive[i + 1] = now;
  }
  std::set<size_t> chosen;
  const double part = kept.back() / static_cast<double>(count);
  for (size_t k = 1; k < count; ++k) {
    const double target = part * static_cast<double>(k);
    size_t best = 0;
    for (size_t p = 1; p < steps_.size(); ++p) {
      const double off = std::abs(kept[p] - target);
      if (off > part / 2) continue;
      if (best == 0 || alive[p] < alive[best] ||
          (alive[p] == alive[best] && off < std::abs(kept[best] - target)))
        best = p;
    }
    if (best > 0) chosen.insert(best);
  }
  for (size_t i = 0; i + 1 < steps_.size(); ++i)
    if (is_hooked(steps_[i], hooks)) chosen.insert(i + 1);
  return {chosen.begin(), chosen.end()};
}

void Plan::add_parameters(size_t begin, size_t end,
                          std::vector<size_t>& parameters) const {
  for (size_t i = begin; i < end; ++i) {
    for (const Source& from : steps_[i].inputs)
      if (from.constant >= 0)
        parameters.push_back(static_cast<size_t>(from.constant));
    for (const auto& body : steps_[i].bodies) {
      body->add_parameters(0, body->steps_.size(), parameters);
      for (const Source& from : body->outputs_)
        if (from.constant >= 0)
          parameters.push_back(static_cast<size_t>(from.constant));
    }
  }
}

Segment Plan::segment(size_t begin, size_t end) const {
  Segment part;
  part.begin = begin;
  part.end = end;
  std::set<int> made, read, gone;
  for (size_t i = begin; i < end; ++i) {
    for (const Source& from : steps_[i].inputs)
      if (from.slot >= 0 && !made.contains(from.slot)) read.insert(from.slot);
    for (int slot : steps_[i].outputs)
      if (slot >= 0) made.insert(slot);
    gone.insert(steps_[i].released.begin(), steps_[i].released.end());
  }
  part.inputs.assign(read.begin(), read.end());
  std::ranges::set_difference(made, gone, std::back_inserter(part.outputs));
  add_parameters(begin, end, part.parameters);
  std::ranges::sort(part.parameters);
  const auto twice = std::ranges::unique(part.parameters);
  part.parameters.erase(twice.begin(), twice.end());
  std::erase_if(part.parameters, [&](size_t constant) {
    return !constants_->tensors[constant].is_floating_point();
  });
  return part;
}

std::vector<Segment> Plan::segments(size_t count,
                                    const std::vector<Hook>& hooks) const {
  std::vector<Segment> parts;
  size_t begin = 0;
  for (size_t cut : cuts(count, hooks)) {
    parts.push_back(segment(begin, cut));
    begin = cut;
  }
  parts.push_back(segment(begin, steps_.size()));
  return parts;
}

Tensors Plan::run_segment(const Segment& segment, Inputs inputs,
                          const RunState& state) const {
  Frame frame(slots());
  size_t next = 0;
  for (int slot : segment.inputs)
    frame[static_cast<size_t>(slot)] = inputs[next++];
  run_steps(segment.begin, segment.end, frame, state, nullptr);
  Tensors outputs;
  for (int slot : segment.outputs)
    outputs.push_back(std::move(frame[static_cast<size_t>(slot)]));
  return outputs;
}

void Plan::run_checkpoint(const Segment& segment, Frame& frame,
                          const RunState& state,
                          const std::vector<Hook>* hooks) const {
  Tensors inputs, parameters, outputs;
  for (int slot : segment.inputs)
    inputs.push_back(frame[static_cast<size_t>(slot)]);
  for (size_t constant : segment.parameters)
    if (constants_->tensors[constant].requires_grad())
      parameters.push_back(constants_->tensors[constant]);
  // The plan outlives the program as long as somebody may want gradients.
  outputs = checkpointed(
      [self = shared_from_this(), segment, state](Inputs given, bool again) {
        RunState now = state;
        now.again = again;
        return self->run_segment(segment, given, now);
      },
      inputs, parameters, constants_->device);
  for (size_t i = segment.begin; i < segment.end; ++i)
    for (int slot : steps_[i].released)
      frame[static_cast<size_t>(slot)].reset();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto slot = static_cast<size_t>(segment.outputs[i]);
    frame[slot] = hooks && (*hooks)[slot] ? (*hooks)[slot](outputs[i])
                                          : std::move(outputs[i]);
  }
}

}  // namespace lathe::exec
