#include "passes/distill/loss_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "passes/base/error.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {
namespace {

constexpr double kSmallestProbability = 1e-30;

std::string dims(const at::Tensor& x) {
  return fmt::format("[{}]", fmt::join(x.sizes(), ", "));
}

// double as it is, any other type as float.
at::Tensor as_real(const at::Tensor& x) {
  return x.defined() && x.scalar_type() != at::kDouble ? x.to(at::kFloat) : x;
}

class Check {
 public:
  Check(const LossRow& row, const LossInputs& inputs)
      : row_(row), inputs_(inputs) {}

  void inputs() const {
    tensor(inputs_.student, "student");
    if (row_.needs_labels) {
      if (!inputs_.labels.defined())
        fail("it needs labels, but there are none",
             "give labelled data, or another loss");
    } else {
      tensor(inputs_.teacher, "teacher");
      shapes();
    }
    if (row_.needs_classes) classes();
    if (row_.needs_positions) positions();
  }

  void settings(const LossSettings& settings) const {
    if (!(settings.temperature > 0))
      fail(fmt::format("temperature is {}, but should be above 0",
                       settings.temperature));
    for (const auto& [name, value] :
         {std::pair("alpha", settings.alpha), std::pair("beta", settings.beta)})
      if (!(value >= 0))
        fail(fmt::format("{} is {}, but should be 0 or above", name, value));
  }

 private:
  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "") const {
    throw_unfit(row_.name, inputs_.name, what, hint);
  }

  void tensor(const at::Tensor& x, const char* whose) const {
    if (!x.defined()) fail(fmt::format("there is no {}'s value", whose));
    if (!x.is_floating_point())
      fail(fmt::format("the {}'s is of type {}, but should be floating", whose,
                       c10::toString(x.scalar_type())));
    if (x.dim() < 1 || x.numel() == 0)
      fail(fmt::format("the {}'s is {}, but should hold samples along axis 0",
                       whose, dims(x)));
  }

  void shapes() const {
    const at::Tensor &student = inputs_.student, &teacher = inputs_.teacher;
    bool same = student.dim() == teacher.dim();
    for (int64_t i = 0; same && i < student.dim(); ++i)
      same = student.size(i) == teacher.size(i) ||
             (row_.any_channels && i == axis());
    if (!same)
      fail(fmt::format("the student's is {} and the teacher's {}",
                       dims(student), dims(teacher)),
           row_.place == LossPlace::kFeature && !row_.any_channels
               ? "an adapter brings channels together; positions must agree"
               : "");
  }

  int64_t axis() const {
    const int64_t rank = inputs_.student.dim();
    return inputs_.axis < 0 ? inputs_.axis + rank : inputs_.axis;
  }

  void classes() const {
    const at::Tensor& student = inputs_.student;
    if (axis() < 1 || axis() >= student.dim())
      fail(fmt::format("{} has no axis of classes", dims(student)),
           "mse fits single values");
    if (student.size(axis()) < 2)
      fail(fmt::format("{} has one class along axis {}, but two or more are "
                       "compared",
                       dims(student), axis()),
           "mse fits single values");
  }

  void positions() const {
    const at::Tensor& student = inputs_.student;
    if (axis() < 1 || axis() >= student.dim() ||
        student.numel() == student.size(0) * student.size(axis()))
      fail(
          fmt::format("{} has no positions beside its channels", dims(student)),
          "the loss features fits");
  }

  const LossRow& row_;
  const LossInputs& inputs_;
};

}  // namespace

at::Tensor compute_loss(const LossRow& row, const LossInputs& inputs,
                        const LossSettings& settings) {
  const Check check(row, inputs);
  check.settings(settings);
  check.inputs();
  LossInputs computed = inputs;
  computed.student = as_real(inputs.student);
  computed.teacher = as_real(inputs.teacher);
  at::Tensor loss;
  row.compute(computed, settings, loss);
  return loss;
}

at::Tensor scores_of(const at::Tensor& output, bool probabilities) {
  return probabilities ? as_real(output).clamp_min(kSmallestProbability).log()
                       : output;
}

void throw_unfit(std::string_view loss, const std::string& output,
                 const std::string& what, const std::string& hint) {
  throw Error(ErrorKind::kUsage, fmt::format("loss '{}' of '{}'", loss, output),
              what, hint);
}

void check_labels(const at::Tensor& labels, int64_t classes) {
  for (const at::Tensor& extreme : {labels.min(), labels.max()}) {
    const auto label = extreme.item<int64_t>();
    if (label < 0 || label >= classes)
      throw_input("labels",
                  fmt::format("found label {}, but the model has classes 0 to "
                              "{}",
                              label, classes - 1),
                  "the data must have the model's classes");
  }
}

at::Tensor class_rows(const at::Tensor& scores, int64_t axis) {
  return scores.movedim(axis, -1).reshape({-1, scores.size(axis)});
}

at::Tensor mean_kl(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor expected = at::log_softmax(teacher, 1);
  const at::Tensor share = expected.exp();
  const at::Tensor terms = share * (expected - at::log_softmax(student, 1));
  return at::where(share > 0, terms, at::zeros_like(terms)).sum(1).mean();
}

at::Tensor relative_mse(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor variance = at::var(teacher, /*unbiased=*/false);
  const at::Tensor square = teacher.square().mean();
  // Rounding leaves a little variance in equal values.
  at::Tensor unit = at::where(variance > square * 1e-12, variance, square);
  unit = at::where(unit > 0, unit, at::ones_like(unit));
  return at::mse_loss(student, teacher) / unit;
}

at::Tensor row_cosine(const at::Tensor& student, const at::Tensor& teacher) {
  constexpr double kSmallest = 1e-20, kShare = 1e-6;  // of squares
  const at::Tensor expected = teacher.square().sum(1).clamp_min(kSmallest);
  const at::Tensor mine =
      at::maximum(student.square().sum(1), expected * kShare);
  return (student * teacher).sum(1) / (mine.sqrt() * expected.sqrt());
}

}  // namespace lathe::distill
