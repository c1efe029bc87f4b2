#include "passes/distill/demo_teacher.h"

#include <doctest/doctest.h>

#include "calibration/accuracy/accuracy.h"
#include "calibration/data/procedural.h"
#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"

using namespace lathe;

namespace {

ir::Model train(int epochs, int64_t images, int64_t batch = 16) {
  auto data = data::make_procedural_images(images, 1, 1);
  distill::TeacherOptions options;
  options.epochs = epochs;
  options.batch_size = batch;
  options.jobs = 1;
  return distill::train_demo_teacher(*data, data::kProceduralClasses, options,
                                     silent_progress(), nullptr);
}

}  // namespace

TEST_CASE("the demo teacher learns, and exports what it learned") {
  ir::Model model = train(/*epochs=*/6, /*images=*/1600, /*batch=*/64);
  ir::verify(*model.graph, "demo teacher");
  CHECK(model.graph->inputs().at(0)->name() == "image");
  CHECK(model.graph->outputs().at(0)->name() == "logits");
  auto test = data::make_procedural_images(200, 2, 1);
  Accuracy accuracy =
      accuracy::evaluate(model, nullptr, *test, {}, silent_progress(), nullptr);
  REQUIRE(accuracy.top1);
  MESSAGE("top-1 after 6 short epochs: " << *accuracy.top1);
  CHECK(*accuracy.top1 > 0.25);  // chance is 0.1
}

TEST_CASE("the same seed trains the same bytes") {
  std::string first = io::export_onnx_bytes(train(1, 64));
  CHECK(first == io::export_onnx_bytes(train(1, 64)));
}

TEST_CASE("training needs at least one batch and stops when cancelled") {
  auto data = data::make_procedural_images(8, 1, 1);
  distill::TeacherOptions options;
  options.batch_size = 16;
  try {
    distill::train_demo_teacher(*data, 10, options, silent_progress(), nullptr);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK(error.message() == "has 8 samples, fewer than one batch of 16");
  }
  CancelToken cancel;
  cancel.cancel();
  options.batch_size = 4;
  try {
    distill::train_demo_teacher(*data, 10, options, silent_progress(), &cancel);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInterrupted);
  }
}
