#include "passes/distill/distill_task.h"

#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"
#include "passes/distill/training_units.h"

namespace lathe::distill {
namespace {

std::unique_ptr<exec::Program> compile(const TrainingTwin& twin,
                                       at::Device device) {
  exec::CompileOptions options;
  options.device = device;
  options.trainable = [&](const ir::Value& value) {
    return twin.trainable(value);
  };
  return exec::Program::compile(twin.model(), options);
}

at::Tensor on(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.defined() ? tensor.to(like.device()) : tensor;
}

// [N], or where labels are mixed their shares [N, C]; for losses that look at
// labels.
at::Tensor labels_of(const exec::TrainingBatch& batch, const LossRow& row,
                     const at::Tensor& scores, int64_t axis) {
  if (!row.needs_labels) return {};
  if (!batch.other_labels.defined()) return batch.labels;
  const int64_t classes = scores.size(axis);
  check_labels(batch.labels, classes);
  const auto shares = [&](const at::Tensor& labels) {
    return at::one_hot(labels, classes).to(at::kFloat);
  };
  return shares(batch.labels) * batch.share +
         shares(batch.other_labels) * (1 - batch.share);
}

}  // namespace

at::Tensor compute_output_loss(const Objective& objective,
                               const OutputTerm& term,
                               const at::Tensor& student,
                               const at::Tensor& teacher,
                               const at::Tensor& labels) {
  const OutputInfo& info = objective.outputs[term.output];
  const bool scores = term.row->needs_classes;
  LossInputs inputs;
  inputs.student = scores_of(student, scores && info.student_probabilities);
  if (teacher.defined())
    inputs.teacher =
        scores_of(on(teacher, student), scores && info.teacher_probabilities);
  inputs.labels = on(labels, student);
  inputs.axis = info.axis >= 0 ? info.axis : 1;
  inputs.name = info.name;
  return compute_loss(*term.row, inputs, term.settings);
}

DistillTask::DistillTask(Parts parts)
    : parts_(std::move(parts)),
      program_(compile(*parts_.twin, parts_.device)),
      adapters_(parts_.objective.pairs, parts_.seed, parts_.device),
      features_(parts_.objective.pairs.size()) {
  for (size_t i = 0; i < features_.size(); ++i)
    program_->set_hook(parts_.objective.pairs[i].student,
                       [this, i](const at::Tensor& value) {
                         features_[i] = value;
                         return value;
                       });
}

std::vector<exec::TrainedTensor> trained_tensors(const exec::Program& program,
                                                 const TrainingTwin& twin) {
  std::vector<exec::TrainedTensor> tensors;
  const auto units = training_units(twin);
  for (const auto& parameter : program.parameters()) {
    const ParameterInfo info = twin.info(parameter.name);
    exec::TrainedTensor made{parameter.name, parameter.tensor,
                             info.kind == ParameterKind::kWeight,
                             info.gradient_factor};
    if (const auto unit = units.find(parameter.name); unit != units.end())
      made.unit = unit->second.to(parameter.tensor.device(),
                                  parameter.tensor.scalar_type());
    tensors.push_back(std::move(made));
  }
  return tensors;
}

std::vector<exec::TrainedTensor> DistillTask::trained() {
  std::vector<exec::TrainedTensor> tensors =
      trained_tensors(*program_, *parts_.twin);
  for (const FeatureTerm& term : parts_.objective.feature_terms) {
    if (term.row->any_channels) continue;
    for (const auto& [name, tensor] : adapters_.parameters())
      tensors.push_back({name, tensor, tensor.dim() > 1});
    break;
  }
  return tensors;
}

exec::NamedValues DistillTask::buffers() {
  exec::NamedValues buffers;
  for (const auto& buffer : program_->buffers())
    buffers.emplace_back(buffer.name, buffer.tensor);
  return buffers;
}

at::Tensor DistillTask::loss(const exec::TrainingBatch& batch,
                             exec::LossTerms& terms) {
  const Objective& objective = parts_.objective;
  Teacher::Answer answer;
  if (objective.needs_teacher) answer = parts_.teacher->answer(batch);
  const std::vector<at::Tensor> outputs = program_->run(batch.inputs);
  at::Tensor sum;
  const auto add = [&](const std::string& name, double weight,
                       const at::Tensor& value) {
    const at::Tensor weighted = value * weight;
    terms.terms.emplace_back(name, weighted.item<double>());
    sum = sum.defined() ? sum + weighted : weighted;
  };
  for (const OutputTerm& term : objective.output_terms) {
    const at::Tensor& output = outputs[term.output];
    const at::Tensor answered =
        objective.needs_teacher ? answer.outputs[term.output] : at::Tensor();
    const int64_t axis = objective.outputs[term.output].axis;
    add(term.name, term.weight,
        compute_output_loss(objective, term, output, answered,
                            labels_of(batch, *term.row, output, axis)));
  }
  for (const FeatureTerm& term : objective.feature_terms) {
    at::Tensor mean;
    for (size_t i = 0; i < objective.pairs.size(); ++i) {
      LossInputs inputs;
      inputs.student = term.row->any_channels
                           ? features_[i]
                           : adapters_.apply(i, features_[i]);
      inputs.teacher = on(answer.features[i], inputs.student);
      inputs.axis = objective.pairs[i].axis;
      inputs.name = objective.pairs[i].student;
      const at::Tensor value = compute_loss(*term.row, inputs, term.settings);
      mean = mean.defined() ? mean + value : value;
    }
    add(term.row->name,
        term.weight / static_cast<double>(objective.pairs.size()), mean);
  }
  features_.assign(features_.size(), at::Tensor());
  judge(outputs, answer.outputs, batch, terms);
  return sum;
}

// Right is what the label says; without one, or where labels are mixed, what
// the teacher says.
void DistillTask::judge(const std::vector<at::Tensor>& outputs,
                        const std::vector<at::Tensor>& answers,
                        const exec::TrainingBatch& batch,
                        exec::LossTerms& terms) const {
  const Objective& objective = parts_.objective;
  if (objective.judged_output < 0) return;
  const auto output = static_cast<size_t>(objective.judged_output);
  const int64_t axis = objective.outputs[output].axis;
  const at::Tensor chosen = outputs[output].detach().argmax(axis);
  at::Tensor right;
  if (batch.labels.defined() && !batch.other_labels.defined() &&
      chosen.dim() == 1)
    right = on(batch.labels, chosen);
  else if (!answers.empty())
    right = on(answers[output], chosen).argmax(axis);
  else
    return;
  terms.correct = (chosen == right).sum().item<int64_t>();
  terms.judged = chosen.numel();
}

}  // namespace lathe::distill
