// Which losses are taken, and which are refused.
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/distill_task.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include "tests/passes/distill/parsed_graph.h"

namespace lathe::distill {
namespace {

const auto parse = lathe::test::parsed_graph;

constexpr const char* kScores =
    "input %x: float[N,8] %scores = Neg(%x) output %scores";
constexpr const char* kPlaces =
    "input %x: float[N,8] %places = Sigmoid(%x) output %places";
constexpr const char* kBoth =
    "input %x: float[N,8] input %b: float[N,6,4] %scores = Neg(%x) "
    "%boxes = Tanh(%b) %best = ArgMax(%x) {axis = 1} "
    "output %scores output %boxes output %best";

Objective make(const std::string& body, bool has_labels,
               std::vector<LossSpec> losses = {}) {
  const ir::Model model = parse(body);
  DistillOptions options;
  options.losses = std::move(losses);
  return make_objective(options, model, model, has_labels);
}

std::string remarks(const Objective& objective) {
  return join(objective.remarks, "\n");
}

std::string refused(const std::string& body, bool has_labels,
                    std::vector<LossSpec> losses = {}) {
  try {
    make(body, has_labels, std::move(losses));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "nothing thrown";
}

TEST_CASE("objective: by default what fits each output") {
  CHECK(remarks(make(kScores, true)) == "loss: 1 kl + 0.5 cross_entropy");
  CHECK(remarks(make(kScores, false)) == "loss: 1 kl");
  CHECK(remarks(make(kPlaces, true)) == "loss: 1 mse");
  CHECK(remarks(make(kBoth, true)) ==
        "loss: 1 kl:scores + 0.5 cross_entropy:scores + 1 mse:boxes");
  CHECK(refused("input %x: float[N,8] %y = ArgMax(%x) output %y", true) ==
        "losses: no output of the teacher is of floats: nothing can be learned "
        "from it");
}

TEST_CASE("objective: whose classes are judged, and who is asked") {
  Objective made = make(kBoth, false);
  CHECK(made.judged_output == 0);
  CHECK(made.needs_teacher);
  CHECK(make(kPlaces, true).judged_output == -1);
  // Labels alone need no teacher, but where there are none it says what is
  // right.
  CHECK_FALSE(make(kScores, true, {{.loss = "cross_entropy"}}).needs_teacher);
  CHECK(make(kScores, true, {{.loss = "cross_entropy"}, {.loss = "mse"}})
            .needs_teacher);
  CHECK(made.outputs[0].axis == 1);
  CHECK(made.output_terms[0].settings.temperature == 4);
}

TEST_CASE("objective: probabilities are known as such") {
  const ir::Model logits =
      parse("input %x: float[N,8] %scores = Neg(%x) output %scores");
  const ir::Model probabilities = parse(
      "input %x: float[N,8] %scores = Softmax(%x) {axis = 1} output %scores");
  const OutputInfo info =
      make_objective({}, logits, probabilities, false).outputs[0];
  CHECK_FALSE(info.student_probabilities);
  CHECK(info.teacher_probabilities);
  CHECK(info.name == "scores");
}

TEST_CASE("objective: losses as they are asked for") {
  const Objective made =
      make(kBoth, true,
           {{.loss = "mse", .weight = 2},
            {.loss = "kl", .output = "boxes", .settings = {.temperature = 1}},
            {.loss = "dkd", .weight = 0.25}});
  CHECK(remarks(made) ==
        "loss: 2 mse:scores + 2 mse:boxes + 1 kl:boxes + 0.25 dkd:scores");
  CHECK(made.output_terms[2].settings.temperature == 1);
  CHECK(made.output_terms[2].output == 1);
}

TEST_CASE("objective: losses that fit nothing") {
  CHECK(refused(kScores, true, {{.loss = "dkp"}}) ==
        "loss 'dkp': there is no such loss; did you mean 'dkd'? (the losses "
        "are " +
            join(loss_names(), ", ") + ")");
  CHECK(refused(kScores, false, {{.loss = "cross_entropy"}}) ==
        "loss cross_entropy: needs labels, and the samples have none (leave it "
        "out: the other losses need none)");
  CHECK(refused(kPlaces, true, {{.loss = "kl"}}) ==
        "loss kl: fits none of the teacher's outputs (places) (name the output "
        "as in kl:places=1, or take mse)");
  CHECK(refused(kBoth, true, {{.loss = "mse", .output = "boxs"}}) ==
        "loss mse: the teacher has no output 'boxs'; did you mean 'boxes'? "
        "(its outputs are scores, boxes, best)");
  CHECK(refused(kBoth, true, {{.loss = "mse", .output = "best"}}) ==
        "loss mse: the output 'best' is not of floats");
  CHECK(refused(kBoth, true, {{.loss = "features", .output = "boxes"}}) ==
        "loss features: looks at values inside, not at the output 'boxes'");
  CHECK(refused(kScores, true, {{.loss = "features"}}) ==
        "losses: 'features' looks at values inside, and none of the student's "
        "is like one of the teacher's (leave it out: losses on outputs need no "
        "such pair)");
}

}  // namespace
}  // namespace lathe::distill
