#include <cstdio>
#include <filesystem>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/distill/teacher.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"
#include "tests/support/shared.h"

namespace lathe::distill {
namespace {

constexpr int64_t kSamples = 10, kRoom = 1 << 20;
// Bytes in front of the first record.
constexpr size_t kHead = 4096;

struct CacheFolder {
  OutputCache open(const std::string& fingerprint = "run",
                   int64_t bytes = kRoom) const {
    return {file(), fingerprint, kSamples, bytes};
  }
  std::filesystem::path file() const { return folder.path() / "outputs"; }
  lathe::test::TempDir folder;
};

// Of samples: floats [N, 3], and int64 [N].
std::vector<at::Tensor> outputs_of(const std::vector<int64_t>& indices) {
  const at::Tensor numbers = at::tensor(indices, at::kLong);
  return {numbers.to(at::kFloat).unsqueeze(1) + at::tensor({0.0F, 0.25F, 0.5F}),
          numbers * 7};
}

bool finds(OutputCache& cache, const std::vector<int64_t>& indices) {
  const auto found = cache.find(indices), wanted = outputs_of(indices);
  if (found.empty()) return false;
  REQUIRE(found.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK((found[i].scalar_type() == wanted[i].scalar_type()));
    CHECK(found[i].equal(wanted[i]));
  }
  return true;
}

TEST_CASE("output cache: what was kept is found, in any batch and later") {
  const CacheFolder folder;
  {
    OutputCache cache = folder.open();
    CHECK_FALSE(finds(cache, {0}));
    cache.keep({4, 0, 9}, outputs_of({4, 0, 9}));
    cache.keep({2}, outputs_of({2}));
    CHECK(finds(cache, {0, 2, 4, 9}));
    CHECK(cache.hits == 1);
    CHECK_FALSE(finds(cache, {0, 1}));
    CHECK_FALSE(finds(cache, {}));
    cache.keep({}, outputs_of({}));
    CHECK(cache.hits == 1);
  }
  OutputCache cache = folder.open();
  CHECK(finds(cache, {9, 2}));
  cache.keep({1}, outputs_of({1}));
  CHECK(finds(cache, {1, 9}));
}

TEST_CASE("output cache: another run's outputs are thrown away") {
  const CacheFolder folder;
  {
    OutputCache cache = folder.open();
    cache.keep({3}, outputs_of({3}));
  }
  {
    OutputCache cache = folder.open("another run");
    CHECK_FALSE(finds(cache, {3}));
    CHECK(std::filesystem::file_size(folder.file()) == 0);
  }
  OutputCache cache = folder.open();
  CHECK_FALSE(finds(cache, {3}));
}

TEST_CASE("output cache: a damaged record is not taken, nor a damaged head") {
  const CacheFolder folder;
  {
    OutputCache cache = folder.open();
    for (int64_t i = 0; i < kSamples; ++i) cache.keep({i}, outputs_of({i}));
  }
  const std::string good = read_file(folder.file());
  const size_t record = (good.size() - kHead) / kSamples;
  CHECK(record == 12 + 8 + 8);
  for (size_t at = 0; at < record; ++at) {
    std::string bytes = good;
    bytes[kHead + 3 * record + at] ^= 1;
    write_file_atomic(folder.file(), bytes);
    OutputCache cache = folder.open();
    CHECK_FALSE(finds(cache, {3}));
    CHECK(finds(cache, {2, 4}));
  }
  // A record in another's place.
  std::string bytes = good;
  bytes.replace(kHead + 3 * record, record, good, kHead + 5 * record, record);
  write_file_atomic(folder.file(), bytes);
  {
    OutputCache cache = folder.open();
    CHECK_FALSE(finds(cache, {3}));
  }
  // Cut off in a record.
  write_file_atomic(folder.file(), good.substr(0, kHead + 5 * record - 1));
  {
    OutputCache cache = folder.open();
    CHECK(finds(cache, {3}));
    CHECK_FALSE(finds(cache, {4}));
  }
  const size_t text = good.find('\0');
  REQUIRE(text < kHead);
  for (size_t at = 0; at < text; at += 5) {
    CAPTURE(at);
    bytes = good;
    bytes[at] ^= 1;
    write_file_atomic(folder.file(), bytes);
    OutputCache cache = folder.open();
    CHECK_FALSE(finds(cache, {2}));
    cache.keep({2}, outputs_of({2}));
    CHECK(finds(cache, {2}));
  }
}

TEST_CASE("output cache: all or nothing has room") {
  const CacheFolder folder;
  const int64_t needed = kSamples * (12 + 8 + 8);
  {
    OutputCache cache = folder.open("run", needed - 1);
    cache.keep({0}, outputs_of({0}));
    CHECK_FALSE(finds(cache, {0}));
    CHECK(std::filesystem::file_size(folder.file()) <= kHead);
  }
  OutputCache cache = folder.open("run", needed);
  cache.keep({0}, outputs_of({0}));
  CHECK(finds(cache, {0}));
  // Outputs of another size than the first ones are not kept.
  cache.keep({1}, {at::zeros({1, 4}), at::zeros({1}, at::kLong)});
  cache.keep({1}, {at::zeros({}), at::zeros({1}, at::kLong)});
  CHECK_FALSE(finds(cache, {1}));
}

TEST_CASE("output cache: a file that cannot be") {
  const CacheFolder folder;
  const auto file = folder.folder.path() / "none" / "outputs";
  try {
    OutputCache cache(file, "run", kSamples, kRoom);
    FAIL("nothing thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kIo);
    CHECK(error.what() ==
          file.string() +
              ": cannot be used: No such file or directory (--teacher-cache 0 "
              "does without)");
  }
}

ir::Model doubling() {
  ir::Model model = ir::parse_text(
      "ir_version 8 opset 17 graph g { input %x: float[N,2] "
      "%h = Add(%x, %x) %y = Neg(%h) output %y }");
  ir::infer_shapes(model);
  return model;
}

exec::TrainingBatch batch_of(std::vector<int64_t> indices, double value) {
  exec::TrainingBatch batch;
  batch.samples = 2;
  batch.inputs = {{"x", at::full({2, 2}, value, at::kFloat)}};
  batch.indices = std::move(indices);
  return batch;
}

TEST_CASE("teacher: answers come from the cache where samples have numbers") {
  const CacheFolder folder;
  Teacher teacher(
      doubling(), {}, at::kCPU, nullptr,
      std::make_unique<OutputCache>(folder.file(), "run", kSamples, kRoom));
  const at::Tensor first = teacher.answer(batch_of({1, 2}, 3)).outputs[0];
  CHECK(first.equal(at::full({2, 2}, -6.0F)));
  CHECK(teacher.cache()->hits == 0);
  // What the samples are is known by their numbers alone.
  CHECK(teacher.answer(batch_of({2, 1}, 5)).outputs[0].equal(first));
  CHECK(teacher.cache()->hits == 1);
  CHECK(teacher.answer(batch_of({}, 5))
            .outputs[0]
            .equal(at::full({2, 2}, -10.0F)));
  CHECK(teacher.cache()->hits == 1);
}

TEST_CASE("teacher: the runtime and the executor say the same") {
  const auto executor = exec::make_torch_executor();
  Teacher own(doubling(), {"h"}, at::kCPU, nullptr, nullptr);
  Teacher prepared(doubling(), {"h"}, at::kCPU, executor.get(), nullptr);
  const auto batch = batch_of({}, 1.5);
  for (Teacher* teacher : {&own, &prepared}) {
    const Teacher::Answer answer = teacher->answer(batch);
    REQUIRE(answer.outputs.size() == 1);
    REQUIRE(answer.features.size() == 1);
    CHECK(answer.outputs[0].equal(at::full({2, 2}, -3.0F)));
    CHECK(answer.features[0].equal(at::full({2, 2}, 3.0F)));
    CHECK_FALSE(answer.outputs[0].requires_grad());
  }
}

}  // namespace
}  // namespace lathe::distill
