#include "passes/distill/feature_pairs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>
#include <utility>

#include "passes/distill/cut_values.h"

namespace lathe::distill {
namespace {

using Cuts = std::vector<CutValue>;

struct Candidate {
  const CutValue *student, *teacher;
};
using Candidates = std::vector<Candidate>;

// What both values of a pair have in common.
using Form = std::pair<int64_t, std::vector<int64_t>>;  // axis, positions
Form form_of(const CutValue& cut) { return {cut.axis, cut.positions}; }

std::map<Form, std::vector<const CutValue*>> by_form(const Cuts& cuts) {
  std::map<Form, std::vector<const CutValue*>> forms;
  for (const CutValue& cut : cuts) {
    auto& list = forms[form_of(cut)];
    // Of what one layer gives, the last: behind its activation.
    if (!list.empty() && list.back()->depth == cut.depth) list.pop_back();
    list.push_back(&cut);
  }
  return forms;
}

// How much of a form's layers lie before each of its values, in [0, 1].
std::vector<double> depth_shares(const std::vector<const CutValue*>& list) {
  const auto first = static_cast<double>(list.front()->depth);
  const double all = static_cast<double>(list.back()->depth) - first;
  std::vector<double> shares;
  for (const CutValue* cut : list)
    shares.push_back(all > 0 ? (static_cast<double>(cut->depth) - first) / all
                             : 1);
  return shares;
}

Candidates pairs_by_depth(const Cuts& student, const Cuts& teacher) {
  const auto theirs = by_form(teacher);
  Candidates candidates;
  for (const auto& [form, list] : by_form(student)) {
    const auto other = theirs.find(form);
    if (other == theirs.end()) continue;
    const std::vector<double> shares = depth_shares(list);
    const std::vector<double> targets = depth_shares(other->second);
    // From the back, each of the teacher's once.
    size_t end = targets.size();
    for (size_t i = list.size(); i-- > 0 && end > 0;) {
      size_t nearest = 0;
      for (size_t j = 0; j < end; ++j)
        if (std::abs(targets[j] - shares[i]) <=
            std::abs(targets[nearest] - shares[i]))
          nearest = j;
      const CutValue* found = other->second[nearest];
      if (std::abs(found->depth_share() - list[i]->depth_share()) < 0.5)
        candidates.push_back({list[i], found});
      end = nearest;
    }
  }
  return candidates;
}

Candidates pairs_by_name(const Cuts& student, const Cuts& teacher) {
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < teacher.size(); ++i)
    places[teacher[i].value->name()] = i;
  Candidates candidates;
  size_t next = 0;
  for (const CutValue& cut : student) {
    const auto found = places.find(cut.value->name());
    if (found == places.end() || found->second < next ||
        form_of(teacher[found->second]) != form_of(cut))
      continue;
    candidates.push_back({&cut, &teacher[found->second]});
    next = found->second + 1;
  }
  return candidates;
}

// A layer of the same name, operator and window.
bool has_layer(const ir::Model& teacher, const ir::Node& layer) {
  const ir::Value* value =
      layer.output() ? teacher.graph->find(layer.output()->name()) : nullptr;
  const ir::Node* other = value ? value->producer() : nullptr;
  return other && other->op_type == layer.op_type &&
         value->is_graph_output() == layer.output()->is_graph_output() &&
         std::ranges::all_of(
             std::array{"kernel_shape", "strides"}, [&](const char* name) {
               return other->attr_ints(name) == layer.attr_ints(name);
             });
}

bool derives(const ir::Model& student, const ir::Model& teacher,
             size_t named_pairs, size_t teacher_cuts) {
  size_t layers = 0, found = 0;
  for (const auto& node : student.graph->nodes()) {
    if (!is_layer(*node)) continue;
    ++layers;
    found += has_layer(teacher, *node);
  }
  return found * 10 >= layers * 9 && named_pairs * 4 >= teacher_cuts * 3;
}

int64_t position_count(const Candidate& candidate) {
  const std::vector<int64_t>& positions = candidate.student->positions;
  return std::accumulate(positions.begin(), positions.end(), int64_t{1},
                         std::multiplies<>());
}

// Removes what does not hold, unless nothing is left.
void prefer(Candidates& candidates,
            const std::function<bool(const Candidate&)>& holds) {
  if (std::ranges::any_of(candidates, holds))
    std::erase_if(candidates, std::not_fn(holds));
}

// Which `most` of candidates in order of depth.
Candidates spread(const Candidates& candidates, size_t most) {
  Candidates picked;
  // To the nearest one that is picked, or to the input.
  const auto distance = [&](size_t i) {
    const int64_t depth = candidates[i].student->depth;
    int64_t nearest = depth;
    for (const Candidate& other : picked)
      nearest = std::min(nearest, std::abs(other.student->depth - depth));
    return nearest;
  };
  std::set<Form> forms;
  for (size_t i = candidates.size(); i-- > 0 && picked.size() < most;)
    if (forms.insert(form_of(*candidates[i].student)).second && distance(i) > 0)
      picked.push_back(candidates[i]);
  while (picked.size() < most) {
    std::optional<size_t> best;
    int64_t farthest = 1;
    for (size_t i = 0; i < candidates.size(); ++i)
      if (distance(i) >= farthest) {
        best = i;
        farthest = distance(i);
      }
    if (!best) break;
    picked.push_back(candidates[*best]);
  }
  return picked;
}

}  // namespace

std::vector<FeaturePair> pair_features(const ir::Model& student,
                                       const ir::Model& teacher,
                                       const PairOptions& options) {
  const Cuts mine = cut_values(student), theirs = cut_values(teacher);
  Candidates candidates = pairs_by_name(mine, theirs);
  const bool by_name = options.by_name.value_or(
      !candidates.empty() &&
      derives(student, teacher, candidates.size(), theirs.size()));
  if (!by_name) candidates = pairs_by_depth(mine, theirs);
  if (options.needs_positions)
    std::erase_if(candidates, [](const Candidate& candidate) {
      return position_count(candidate) < 2;
    });
  prefer(candidates, [](const Candidate& candidate) {
    return position_count(candidate) > 1;
  });
  // One layer does not make much of its input.
  prefer(candidates, [](const Candidate& candidate) {
    return candidate.student->depth > 1 && candidate.teacher->depth > 1;
  });
  const auto by_place = [](const Candidate& candidate) {
    return candidate.student;  // into one vector, in order
  };
  std::ranges::sort(candidates, {}, by_place);
  candidates = spread(candidates,
                      static_cast<size_t>(std::max<int64_t>(options.most, 0)));
  std::ranges::sort(candidates, {}, by_place);
  std::vector<FeaturePair> pairs;
  for (const auto& [s, t] : candidates)
    pairs.push_back({s->value->name(), t->value->name(), s->axis, s->channels,
                     t->channels, by_name});
  return pairs;
}

}  // namespace lathe::distill
