// Which losses hold a student to its teacher.
#include <fmt/format.h>

#include <algorithm>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/distill_task.h"
#include "passes/distill/outputs.h"

namespace lathe::distill {
namespace {

// Beside the teacher's scores, where there are labels.
constexpr double kLabelWeight = 0.5;

std::vector<OutputInfo> describe(const ir::Model& student,
                                 const ir::Model& teacher) {
  std::vector<OutputInfo> outputs;
  for (size_t i = 0; i < teacher.graph->outputs().size(); ++i) {
    OutputInfo info;
    info.name = teacher.graph->outputs()[i]->name();
    info.axis = class_axis(teacher, i);
    info.student_probabilities = ends_in_softmax(student, i);
    info.teacher_probabilities = ends_in_softmax(teacher, i);
    outputs.push_back(std::move(info));
  }
  return outputs;
}

bool is_float(const ir::Model& model, size_t output) {
  return ir::is_floating(model.graph->outputs()[output]->type.elem);
}

bool holds_classes(const ir::Model& teacher, size_t output) {
  return is_float(teacher, output) &&
         find_loss(default_loss(teacher, output)).needs_classes;
}

// [N, C] alone has a label a sample.
bool takes_labels(const ir::Model& teacher, size_t output) {
  const auto& shape = teacher.graph->outputs()[output]->type.shape;
  return holds_classes(teacher, output) && shape && shape->size() == 2;
}

class Maker {
 public:
  Maker(const ir::Model& teacher, bool has_labels, Objective& made)
      : teacher_(teacher), has_labels_(has_labels), made_(made) {}

  void add_defaults() {
    for (size_t i = 0; i < made_.outputs.size(); ++i) {
      if (!is_float(teacher_, i)) continue;
      const LossRow& row = find_loss(default_loss(teacher_, i));
      add_term(row, row.defaults, 1, i);
      if (has_labels_ && takes_labels(teacher_, i)) {
        const LossRow& by_label = find_loss("cross_entropy");
        add_term(by_label, by_label.defaults, kLabelWeight, i);
      }
    }
    if (made_.output_terms.empty())
      throw Error(ErrorKind::kUsage, "losses",
                  "no output of the teacher is of floats: nothing can be "
                  "learned from it");
  }

  void add(const LossSpec& spec) {
    const LossRow& row = find_loss(spec.loss);
    if (row.needs_labels && !has_labels_)
      throw Error(ErrorKind::kUsage, "loss " + spec.loss,
                  "needs labels, and the samples have none",
                  "leave it out: the other losses need none");
    if (row.place == LossPlace::kFeature) {
      if (!spec.output.empty())
        throw Error(
            ErrorKind::kUsage, "loss " + spec.loss,
            "looks at values inside, not at the output '" + spec.output + "'");
      made_.feature_terms.push_back({&row, spec.settings, spec.weight});
      return;
    }
    bool found = false;
    for (size_t i = 0; i < made_.outputs.size(); ++i) {
      const bool named = made_.outputs[i].name == spec.output;
      if (spec.output.empty() ? !fits(row, i) : !named) continue;
      if (!is_float(teacher_, i))
        throw Error(ErrorKind::kUsage, "loss " + spec.loss,
                    "the output '" + spec.output + "' is not of floats");
      add_term(row, spec.settings, spec.weight, i);
      found = true;
    }
    if (!found) throw_no_output(spec);
  }

 private:
  bool fits(const LossRow& row, size_t output) const {
    if (row.needs_labels) return takes_labels(teacher_, output);
    if (row.needs_classes) return holds_classes(teacher_, output);
    return is_float(teacher_, output);
  }

  void add_term(const LossRow& row, const LossSettings& settings, double weight,
                size_t output) {
    std::string name = row.name;
    if (made_.outputs.size() > 1) name += ":" + made_.outputs[output].name;
    made_.output_terms.push_back(
        {&row, settings, weight, output, std::move(name)});
  }

  [[noreturn]] void throw_no_output(const LossSpec& spec) const {
    std::vector<std::string> names;
    for (const OutputInfo& info : made_.outputs) names.push_back(info.name);
    if (spec.output.empty())
      throw Error(
          ErrorKind::kUsage, "loss " + spec.loss,
          "fits none of the teacher's outputs (" + join(names, ", ") + ")",
          "name the output as in " + spec.loss + ":" + names.front() +
              "=1, or take mse");
    throw Error(ErrorKind::kUsage, "loss " + spec.loss,
                fmt::format("the teacher has no output '{}'{}", spec.output,
                            did_you_mean(spec.output, names)),
                "its outputs are " + join(names, ", "));
  }

  const ir::Model& teacher_;
  const bool has_labels_;
  Objective& made_;
};

std::string text(const Objective& made) {
  std::vector<std::string> parts;
  for (const OutputTerm& term : made.output_terms)
    parts.push_back(fmt::format("{:g} {}", term.weight, term.name));
  for (const FeatureTerm& term : made.feature_terms)
    parts.push_back(fmt::format("{:g} {}", term.weight, term.row->name));
  return join(parts, " + ");
}

void find_pairs(const DistillOptions& options, const ir::Model& student,
                const ir::Model& teacher, Objective& made) {
  if (made.feature_terms.empty()) return;
  made.pairs = pair_features(student, teacher, {options.feature_pairs});
  if (made.pairs.empty())
    throw Error(ErrorKind::kUsage, "losses",
                fmt::format("'{}' looks at values inside, and none of the "
                            "student's is like one of the teacher's",
                            made.feature_terms.front().row->name),
                "leave it out: losses on outputs need no such pair");
  for (const FeaturePair& pair : made.pairs)
    made.remarks.push_back(fmt::format(
        "features: '{}' ({} channels) is held to '{}' ({} channels){}",
        pair.student, pair.student_channels, pair.teacher,
        pair.teacher_channels, pair.by_name ? ", by name" : ""));
}

}  // namespace

Objective make_objective(const DistillOptions& options,
                         const ir::Model& student, const ir::Model& teacher,
                         bool has_labels) {
  Objective made;
  made.outputs = describe(student, teacher);
  Maker maker(teacher, has_labels, made);
  if (options.losses.empty()) maker.add_defaults();
  for (const LossSpec& spec : options.losses) maker.add(spec);
  find_pairs(options, student, teacher, made);
  for (size_t i = 0; i < made.outputs.size() && made.judged_output < 0; ++i)
    if (holds_classes(teacher, i) && made.outputs[i].axis >= 0)
      made.judged_output = static_cast<int>(i);
  made.needs_teacher =
      !made.feature_terms.empty() ||
      std::any_of(
          made.output_terms.begin(), made.output_terms.end(),
          [](const OutputTerm& term) { return !term.row->needs_labels; });
  made.remarks.insert(made.remarks.begin(), "loss: " + text(made));
  return made;
}

}  // namespace lathe::distill
