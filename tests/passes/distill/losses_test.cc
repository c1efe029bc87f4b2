// Every row of the table: gradients, equality, half types, shapes; and values
// of each by hand.
#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "tests/passes/distill/loss_support.h"

namespace lathe::test {
namespace {

using distill::LossInputs;
using distill::LossRow;
using distill::LossSettings;

// Inputs that the row takes, [3, C] or with positions.
LossInputs inputs_for(const LossRow& row, uint64_t seed) {
  const std::vector<int64_t> sizes = row.needs_positions
                                         ? std::vector<int64_t>{3, 4, 2, 3}
                                         : std::vector<int64_t>{3, 4};
  LossInputs inputs{.student = normal(sizes, seed),
                    .teacher = normal(sizes, seed + 100),
                    .labels = {},
                    .axis = 1,
                    .name = "y"};
  if (row.needs_labels) inputs.labels = at::tensor({1, 3, 0}, at::kLong);
  return inputs;
}

void gradients_agree(const LossRow& row, LossInputs inputs) {
  const auto value = [&] {
    return distill::compute_loss(row, inputs, row.defaults);
  };
  inputs.student.set_requires_grad(true);
  value().backward();
  const at::Tensor gradient = inputs.student.grad().clone().contiguous();
  inputs.student = inputs.student.detach();
  double* data = inputs.student.data_ptr<double>();
  constexpr double kStep = 1e-6;
  CHECK(gradient.abs().max().item<double>() > 1e-3);
  for (int64_t i = 0; i < inputs.student.numel(); ++i) {
    const double kept = data[i];
    data[i] = kept + kStep;
    const double up = value().item<double>();
    data[i] = kept - kStep;
    const double down = value().item<double>();
    data[i] = kept;
    const double expected = (up - down) / (2 * kStep);
    CHECK(gradient.data_ptr<double>()[i] ==
          doctest::Approx(expected).epsilon(1e-6));
  }
}

std::string message_of(const std::string& name, const LossInputs& inputs,
                       const LossSettings& settings = {},
                       ErrorKind kind = ErrorKind::kUsage) {
  try {
    distill::compute_loss(distill::find_loss(name), inputs, settings);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  return "no error";
}

LossInputs pair(const at::Tensor& student, const at::Tensor& teacher) {
  return {.student = student,
          .teacher = teacher,
          .labels = {},
          .axis = 1,
          .name = "y"};
}

TEST_CASE("gradients of every loss agree with finite differences") {
  for (const LossRow& row : distill::loss_table())
    for (uint64_t seed : {1, 2, 3}) {
      CAPTURE(row.name);
      CAPTURE(seed);
      gradients_agree(row, inputs_for(row, seed));
    }
}

TEST_CASE("gradients beside positions, on a last axis, of mixed labels") {
  for (const char* name : {"kl", "dkd", "dist"})
    for (int64_t axis : {1, 2, -1}) {
      CAPTURE(name);
      LossInputs inputs = pair(normal({2, 3, 4}, 1), normal({2, 3, 4}, 2));
      inputs.axis = axis;
      gradients_agree(distill::find_loss(name), inputs);
    }
  LossInputs inputs = pair(normal({3, 4}, 1), {});
  inputs.labels = at::softmax(normal({3, 4}, 2), 1);
  gradients_agree(distill::find_loss("cross_entropy"), inputs);
  inputs = pair(normal({3, 4}, 1), normal({3, 4}, 2));
  inputs.labels = at::tensor({1, 3, 0}, at::kLong);
  gradients_agree(distill::find_loss("dkd"), inputs);
}

TEST_CASE("a student that equals its teacher loses nothing") {
  for (const LossRow& row : distill::loss_table()) {
    if (row.needs_labels) continue;
    CAPTURE(row.name);
    LossInputs inputs = inputs_for(row, 1);
    CHECK(distill::compute_loss(row, inputs, row.defaults).item<double>() >
          0.01);
    inputs.teacher = inputs.student;
    inputs.student = inputs.teacher.clone().set_requires_grad(true);
    const at::Tensor loss = distill::compute_loss(row, inputs, row.defaults);
    CHECK(std::abs(loss.item<double>()) < 1e-12);
    loss.backward();
    CHECK(inputs.student.grad().abs().max().item<double>() < 1e-12);
  }
}

TEST_CASE("half types are computed in float") {
  for (const LossRow& row : distill::loss_table())
    for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
      CAPTURE(row.name);
      LossInputs inputs = inputs_for(row, 1);
      inputs.student = inputs.student.to(type).set_requires_grad(true);
      inputs.teacher = inputs.teacher.to(type);
      const at::Tensor loss = distill::compute_loss(row, inputs, row.defaults);
      CHECK((loss.scalar_type() == at::kFloat));
      loss.backward();
      CHECK((inputs.student.grad().scalar_type() == type));
      inputs.student = inputs.student.detach().to(at::kDouble);
      inputs.teacher = inputs.teacher.to(at::kDouble);
      CHECK(loss.item<double>() ==
            doctest::Approx(
                distill::compute_loss(row, inputs, row.defaults).item<double>())
                .epsilon(1e-4));
    }
}

TEST_CASE("zeros and huge scores give finite losses and gradients") {
  for (const LossRow& row : distill::loss_table()) {
    CAPTURE(row.name);
    for (const double scale : {0.0, 1e30}) {
      CAPTURE(scale);
      LossInputs inputs = inputs_for(row, 1);
      // Squares of such features are beyond float.
      if (scale > 1 && !row.needs_classes) continue;
      for (at::Tensor* x : {&inputs.student, &inputs.teacher})
        *x = (*x * scale).to(at::kFloat);
      inputs.student.set_requires_grad(true);
      const at::Tensor loss = distill::compute_loss(row, inputs, row.defaults);
      loss.backward();
      CHECK(std::isfinite(loss.item<double>()));
      CHECK(inputs.student.grad().isfinite().all().item<bool>());
    }
  }
}

TEST_CASE("classes that both rule out do not count") {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const at::Tensor student = numbers({1, 2, kNever}, {1, 3});
  const at::Tensor teacher = numbers({2, 0.5, kNever}, {1, 3});
  for (const char* name : {"kl", "dkd", "dist"}) {
    CAPTURE(name);
    LossInputs inputs = pair(student.clone().set_requires_grad(true), teacher);
    const at::Tensor loss = loss_of(name, inputs);
    loss.backward();
    CHECK(loss.item<double>() > 0);
    CHECK(std::isfinite(loss.item<double>()));
    CHECK(inputs.student.grad().isfinite().all().item<bool>());
  }
  CHECK(loss_of("kl", student, teacher) ==
        doctest::Approx(
            loss_of("kl", student.slice(1, 0, 2), teacher.slice(1, 0, 2))));
}

TEST_CASE("kl by hand") {
  // Softened by 2: the teacher says 3/4, 1/4, the student 1/2, 1/2.
  const double t = 2, third = std::log(3.0);
  const LossInputs inputs =
      pair(numbers({5, 5}, {1, 2}), numbers({t * third, 0}, {1, 2}));
  const double expected =
      t * t * (0.75 * std::log(0.75 / 0.5) + 0.25 * std::log(0.25 / 0.5));
  CHECK(distill::compute_loss(distill::find_loss("kl"), inputs,
                              {.temperature = t})
            .item<double>() == doctest::Approx(expected));
  // The same at every position of an image is the same.
  const auto image = [](const at::Tensor& x) {
    return x.reshape({1, 2, 1, 1}).expand({3, 2, 2, 5});
  };
  CHECK(
      distill::compute_loss(distill::find_loss("kl"),
                            pair(image(inputs.student), image(inputs.teacher)),
                            {.temperature = t})
          .item<double>() == doctest::Approx(expected));
}

TEST_CASE("kl and dkd do not see a shift of a sample's logits") {
  const at::Tensor student = normal({3, 4}, 1), teacher = normal({3, 4}, 2);
  const at::Tensor shift = normal({3, 1}, 3) * 10;
  for (const char* name : {"kl", "dkd", "dist"}) {
    CAPTURE(name);
    CHECK(loss_of(name, student + shift, teacher - shift) ==
          doctest::Approx(loss_of(name, student, teacher)));
  }
}

TEST_CASE("dkd by hand") {
  // Probabilities of three classes, the first the target.
  const std::vector<double> t{0.5, 0.3, 0.2}, s{0.2, 0.2, 0.6};
  LossInputs inputs = pair(numbers(s, {1, 3}).log(), numbers(t, {1, 3}).log());
  const auto kl = [](double p, double q) { return p * std::log(p / q); };
  const double target = kl(0.5, 0.2) + kl(0.5, 0.8);
  const double rest = kl(0.6, 0.25) + kl(0.4, 0.75);
  const auto dkd = [&](double alpha, double beta) {
    return distill::compute_loss(
               distill::find_loss("dkd"), inputs,
               {.temperature = 1, .alpha = alpha, .beta = beta})
        .item<double>();
  };
  CHECK(dkd(1, 0) == doctest::Approx(target));
  CHECK(dkd(0, 1) == doctest::Approx(rest));
  CHECK(dkd(2, 8) == doctest::Approx(2 * target + 8 * rest));
  // kl is the split with the teacher's confidence as weight (eq. 5).
  CHECK(dkd(1, 0.5) ==
        doctest::Approx(distill::compute_loss(distill::find_loss("kl"), inputs,
                                              {.temperature = 1})
                            .item<double>()));
  // Labels choose another target.
  inputs.labels = at::tensor({2}, at::kLong);
  CHECK(dkd(1, 0) == doctest::Approx(kl(0.2, 0.6) + kl(0.8, 0.4)));
  CHECK(dkd(0, 1) == doctest::Approx(kl(0.625, 0.5) + kl(0.375, 0.5)));
  // Mixed labels have no one target.
  inputs.labels = numbers({0, 0, 1}, {1, 3});
  CHECK(dkd(1, 0) == doctest::Approx(target));
}

TEST_CASE("dist by hand") {
  const auto correlation = [](double a0, double a1, double a2, double b0,
                              double b1, double b2) {
    const double a = (a0 + a1 + a2) / 3, b = (b0 + b1 + b2) / 3;
    return ((a0 - a) * (b0 - b) + (a1 - a) * (b1 - b) + (a2 - a) * (b2 - b)) /
           std::sqrt(((a0 - a) * (a0 - a) + (a1 - a) * (a1 - a) +
                      (a2 - a) * (a2 - a)) *
                     ((b0 - b) * (b0 - b) + (b1 - b) * (b1 - b) +
                      (b2 - b) * (b2 - b)));
  };
  const at::Tensor s = numbers({.2, .3, .5, .6, .3, .1}, {2, 3});
  const at::Tensor t = numbers({.1, .5, .4, .7, .2, .1}, {2, 3});
  const double rows = 1 - (correlation(.2, .3, .5, .1, .5, .4) +
                           correlation(.6, .3, .1, .7, .2, .1)) /
                              2;
  // Two samples: every column goes up or down with the teacher's or against it;
  // the middle one of the student does not move.
  const double columns = (0.0 + 1.0 + 0.0) / 3;
  const auto dist = [&](double temperature, double alpha, double beta) {
    return distill::compute_loss(distill::find_loss("dist"),
                                 pair(s.log(), t.log()),
                                 {temperature, alpha, beta})
        .item<double>();
  };
  CHECK(dist(1, 1, 0) == doctest::Approx(rows));
  CHECK(dist(1, 0, 1) == doctest::Approx(columns));
  CHECK(dist(1, 2, 3) == doctest::Approx(2 * rows + 3 * columns));
}

TEST_CASE("dist asks for the order of probabilities, not for their size") {
  const double t = 4;
  const at::Tensor teacher = normal({5, 3}, 1);
  // Half as far from 1/3.
  const at::Tensor near = (at::softmax(teacher / t, 1) * 0.5 + 0.5 / 3).log();
  CHECK(loss_of("dist", near * t, teacher) == doctest::Approx(0).epsilon(1e-9));
  CHECK(loss_of("kl", near * t, teacher) > 1e-3);
}

TEST_CASE("dist of one sample has nothing to compare it with") {
  const at::Tensor student = normal({1, 4}, 1), teacher = normal({1, 4}, 2);
  const auto dist = [&](double beta) {
    return distill::compute_loss(distill::find_loss("dist"),
                                 pair(student, teacher),
                                 {.temperature = 1, .alpha = 1, .beta = beta})
        .item<double>();
  };
  CHECK(dist(0) > 0);
  CHECK(dist(5) == dist(0));
}

TEST_CASE("mse and features are in units of the teacher's variance") {
  const at::Tensor teacher = numbers({1, 3, 1, 3}, {2, 2});  // variance 1
  const at::Tensor student = numbers({1, 3, 3, 3}, {2, 2});
  for (const char* name : {"mse", "features"}) {
    CAPTURE(name);
    CHECK(loss_of(name, student, teacher) == doctest::Approx(1));
    CHECK(loss_of(name, student * 1e4, teacher * 1e4) == doctest::Approx(1));
    // Of equal values, their square; of zeros, 1.
    const at::Tensor same = at::full({2, 2}, 2.0, at::kDouble);
    CHECK(loss_of(name, same + 1, same) == doctest::Approx(0.25));
    const at::Tensor tenth = at::full({3}, 0.1, at::kDouble);
    CHECK(loss_of(name, tenth * 2, tenth) == doctest::Approx(1));
    CHECK(loss_of(name, same, same * 0) == doctest::Approx(4));
  }
}

TEST_CASE("cosine by hand") {
  const at::Tensor teacher = numbers({1, 0, 0, 2}, {2, 2});
  const at::Tensor student = numbers({3, 4, 0, 7}, {2, 2});
  CHECK(loss_of("cosine", student, teacher) == doctest::Approx(0.4 / 2));
  CHECK(loss_of("cosine", student * 9, teacher) == doctest::Approx(0.4 / 2));
}

TEST_CASE("cross_entropy by hand") {
  LossInputs inputs =
      pair(numbers({.2, .3, .5, .6, .3, .1}, {2, 3}).log().to(at::kFloat), {});
  inputs.labels = at::tensor({2, 0}, at::kLong);
  CHECK(loss_of("cross_entropy", inputs).item<double>() ==
        doctest::Approx(-(std::log(.5) + std::log(.6)) / 2));
  inputs.labels = numbers({0, .5, .5, 1, 0, 0}, {2, 3}).to(at::kFloat);
  CHECK(loss_of("cross_entropy", inputs).item<double>() ==
        doctest::Approx(
            -(.5 * std::log(.3) + .5 * std::log(.5) + std::log(.6)) / 2));
}

TEST_CASE("attention by hand, of different channel counts") {
  // Sums of squares over channels: 3 and 4 against 1 and 0, as unit vectors.
  const at::Tensor student = numbers({1, 0, 1, 0, 1, 2}, {1, 3, 2});
  const at::Tensor teacher = numbers({1, 0}, {1, 1, 2});
  CHECK(loss_of("attention", student, teacher) ==
        doctest::Approx(0.4 * 0.4 + 0.8 * 0.8));
  CHECK(loss_of("attention", student * 3, teacher * 7) == doctest::Approx(0.8));
  CHECK(loss_of("attention", student.transpose(1, 2), teacher.transpose(1, 2),
                2) == doctest::Approx(0.8));
}

TEST_CASE("probabilities become scores") {
  const at::Tensor logits = normal({3, 4}, 1) * 3;
  const at::Tensor probabilities = at::softmax(logits, 1);
  const at::Tensor teacher = normal({3, 4}, 2);
  CHECK(loss_of("kl", distill::scores_of(probabilities, true), teacher) ==
        doctest::Approx(loss_of("kl", logits, teacher)));
  CHECK(distill::scores_of(logits, false).is_same(logits));
  at::Tensor sure =
      at::tensor({1.f, 0.f}).reshape({1, 2}).set_requires_grad(true);
  const at::Tensor scores = distill::scores_of(sure, true);
  CHECK(scores[0][1].item<double>() ==
        doctest::Approx(std::log(1e-30)).epsilon(1e-6));
  scores.sum().backward();
  CHECK(sure.grad().isfinite().all().item<bool>());
}

TEST_CASE("names of losses") {
  CHECK(distill::loss_names() ==
        std::vector<std::string>{"kl", "dkd", "dist", "mse", "cosine",
                                 "cross_entropy", "features", "attention"});
  CHECK(&distill::find_loss("dist") == &distill::loss_table()[2]);
  try {
    distill::find_loss("atention");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK(std::string(error.what()) ==
          "loss 'atention': there is no such loss; did you mean 'attention'? "
          "(the losses are kl, dkd, dist, mse, cosine, cross_entropy, "
          "features, attention)");
  }
}

TEST_CASE("what does not fit is refused") {
  const at::Tensor four = normal({2, 4}, 1), one = normal({2, 1}, 1);
  CHECK(message_of("kl", pair(four, normal({2, 3}, 1))) ==
        "loss 'kl' of 'y': the student's is [2, 4] and the teacher's [2, 3]");
  CHECK(message_of("features", pair(four, normal({2, 3}, 1))) ==
        "loss 'features' of 'y': the student's is [2, 4] and the teacher's "
        "[2, 3] (an adapter brings channels together; positions must agree)");
  CHECK(message_of("attention",
                   pair(normal({2, 3, 4}, 1), normal({2, 6, 5}, 1))) ==
        "loss 'attention' of 'y': the student's is [2, 3, 4] and the teacher's "
        "[2, 6, 5]");
  CHECK(message_of("kl", pair(one, one)) ==
        "loss 'kl' of 'y': [2, 1] has one class along axis 1, but two or more "
        "are compared (mse fits single values)");
  CHECK(message_of("dist", pair(normal({5}, 1), normal({5}, 2))) ==
        "loss 'dist' of 'y': [5] has no axis of classes (mse fits single "
        "values)");
  CHECK(message_of("cosine", pair(one, one)) ==
        "loss 'cosine' of 'y': one value a sample has no direction (mse fits "
        "single values)");
  CHECK(message_of("attention", pair(four, four)) ==
        "loss 'attention' of 'y': [2, 4] has no positions beside its channels "
        "(the loss features fits)");
  CHECK(message_of("mse", pair(four, {})) ==
        "loss 'mse' of 'y': there is no teacher's value");
  CHECK(message_of("mse", pair(four.to(at::kLong), four)) ==
        "loss 'mse' of 'y': the student's is of type Long, but should be "
        "floating");
  CHECK(message_of("mse", pair(four.slice(0, 0, 0), four)) ==
        "loss 'mse' of 'y': the student's is [0, 4], but should hold samples "
        "along axis 0");
  CHECK(message_of("kl", pair(four, four), {.temperature = 0}) ==
        "loss 'kl' of 'y': temperature is 0, but should be above 0");
  CHECK(message_of("dkd", pair(four, four), {.beta = -1}) ==
        "loss 'dkd' of 'y': beta is -1, but should be 0 or above");
}

TEST_CASE("labels that do not fit are refused") {
  LossInputs inputs = pair(normal({2, 4}, 1), normal({2, 4}, 1));
  CHECK(message_of("cross_entropy", inputs) ==
        "loss 'cross_entropy' of 'y': it needs labels, but there are none "
        "(give labelled data, or another loss)");
  for (const auto& [label, text] : {std::pair(4, "4"), std::pair(-1, "-1")}) {
    inputs.labels = at::tensor({label, 0}, at::kLong);
    for (const char* name : {"cross_entropy", "dkd"})
      CHECK(message_of(name, inputs, {}, ErrorKind::kInput) ==
            "labels: found label " + std::string(text) +
                ", but the model has classes 0 to 3 (the data must have the "
                "model's classes)");
  }
  inputs.labels = at::tensor({0, 1, 2}, at::kLong);
  CHECK(message_of("cross_entropy", inputs) ==
        "loss 'cross_entropy' of 'y': scores are [2, 4] and labels [3], but "
        "should be [N, C] and [N], or [N, C] where labels are mixed");
  inputs.labels = normal({2, 3}, 1);
  CHECK(message_of("cross_entropy", inputs) ==
        "loss 'cross_entropy' of 'y': scores are [2, 4] and labels [2, 3], but "
        "should be [N, C] and [N], or [N, C] where labels are mixed");
}

}  // namespace
}  // namespace lathe::test
