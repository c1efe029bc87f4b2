// The ONNX backend's node tests in the executor, at the suite's tolerances
// (1e-3 relative, 1e-7 absolute). The cases are a Debian package,
// libonnx-testdata; LATHE_ONNX_TESTDATA names another folder with node/.
// With LATHE_WRITE_DOCS=1 the run writes docs/operators.md.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/exec/operator_kernel.h"
#include "passes/exec/program.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

fs::path testdata() {
  if (const char* set = std::getenv("LATHE_ONNX_TESTDATA")) return set;
  for (const char* folder :
       {"/usr/share/libonnx-testdata/data", "/usr/share/onnx/testdata",
        "/usr/share/libonnx-testdata"})
    if (fs::exists(fs::path(folder) / "node")) return folder;
  return {};
}

// A file's tensor as the graph types it: files hold bfloat16 as uint16.
at::Tensor as_typed(const ir::Tensor& tensor, const ir::Value& value) {
  if (value.type.elem != ir::DataType::kBfloat16 ||
      tensor.type() != ir::DataType::kUint16)
    return exec::to_torch(tensor);
  return exec::to_torch(ir::Tensor(value.type.elem, tensor.dims(),
                                   ir::Bytes::copy_of(tensor.bytes())));
}

// Opsets before 7 are not read; what is drawn at random cannot be compared.
enum class Outcome { kPassed, kFailed, kNoKernel, kNotRead, kOtherValues };
struct Result {
  Outcome outcome = Outcome::kPassed;
  std::string reason;
};

constexpr const char* kCutsBits =
    "the data cuts bits off; the executor rounds to the nearest, as ONNX "
    "Runtime does";
constexpr const char* kNearZero = "the data of 1.17 says 2e-7 where 0 is right";
constexpr const char* kScaledSize =
    "the data divides by the scaled size before it is rounded; the executor "
    "by the number of elements, as ONNX Runtime does";
constexpr const char* kWraps =
    "the data wraps around; the executor saturates, as ONNX Runtime does";

// The cases that may fail, of ONNX 1.12 and 1.17, and why.
const std::map<std::string, std::string>& known_failures() {
  static const auto* const known = new std::map<std::string, std::string>{
      {"test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_"
       "is_True",
       "the data counts what ceil_mode adds behind the pads; the executor does "
       "not, as ONNX Runtime"},
      {"test_basic_deform_conv_with_padding",
       "2e-7 where the data says 0: places are scaled to [-1, 1] and back"},
      {"test_cast_FLOAT_to_BFLOAT16", kCutsBits},
      {"test_castlike_FLOAT_to_BFLOAT16", kCutsBits},
      {"test_castlike_FLOAT_to_BFLOAT16_expanded", kCutsBits},
      {"test_dft_inverse", kNearZero},
      {"test_dft_inverse_opset19", kNearZero},
      {"test_maxunpool_export_with_output_shape",
       "the data unpools to the smaller shape and lays it into a corner; the "
       "executor takes indices within the shape that is given, as ONNX Runtime "
       "does"},
      {"test_qlinearmatmul_2D_int8_float16", kWraps},
      {"test_qlinearmatmul_2D_int8_float32", kWraps},
      {"test_qlinearmatmul_3D_int8_float16", kWraps},
      {"test_qlinearmatmul_3D_int8_float32", kWraps},
      {"test_resize_downsample_scales_cubic_align_corners", kScaledSize},
      {"test_resize_downsample_scales_linear_align_corners", kScaledSize},
      {"test_scan_sum",
       "Scan before opset 9 begins with an optional input, which shape "
       "inference does not take"},
  };
  return *known;
}

// Values that are no tensors of numbers, and what is drawn at random.
bool is_out_of_scope(const ir::Model& model) {
  static const std::set<std::string> kOthers = {
      "Bernoulli",        "Multinomial",   "RandomNormal",
      "RandomNormalLike", "RandomUniform", "RandomUniformLike"};
  bool other = false;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      other = other || kOthers.contains(node->op_type);
    for (const auto* list : {&graph.inputs(), &graph.outputs()})
      for (const ir::Value* value : *list)
        other = other || !value->type.is_tensor() ||
                value->type.elem == ir::DataType::kString ||
                value->type.elem == ir::DataType::kComplex64 ||
                value->type.elem == ir::DataType::kComplex128;
  });
  return other;
}

std::set<std::string> missing_kernels(const ir::Model& model) {
  std::set<std::string> missing;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      if (!exec::find_operator_row(*node))
        missing.insert((node->domain.empty() ? "" : node->domain + "::") +
                       node->op_type);
  });
  return missing;
}

std::vector<ir::Tensor> tensors(const fs::path& set,
                                const std::string& prefix) {
  std::vector<ir::Tensor> list;
  for (int i = 0;; ++i) {
    const fs::path file = set / (prefix + "_" + std::to_string(i) + ".pb");
    if (!fs::exists(file)) return list;
    list.push_back(io::read_tensor_file(file));
  }
}

std::string difference(const at::Tensor& mine, const at::Tensor& expected) {
  if (!mine.sizes().equals(expected.sizes())) return "another shape";
  if (mine.numel() == 0) return "";
  const at::Tensor a = mine.to(at::kDouble), b = expected.to(at::kDouble);
  const at::Tensor same = (a == b) | (a.isnan() & b.isnan()) |
                          ((a - b).abs() <= 1e-7 + 1e-3 * b.abs());
  return same.all().item<bool>() ? "" : "other values";
}

Result run_case(const fs::path& folder) {
  ir::Model model;
  try {
    model = io::import_onnx(folder / "model.onnx");
  } catch (const Error& error) {
    return {Outcome::kNotRead, error.message()};
  }
  const bool drawn =
      folder.filename().string().starts_with("test_training_dropout") &&
      folder.filename().string().find("zero_ratio") == std::string::npos;
  if (drawn || is_out_of_scope(model)) return {Outcome::kOtherValues, ""};
  const auto missing = missing_kernels(model);
  if (!missing.empty())
    return {
        Outcome::kNoKernel,
        join(std::vector<std::string>(missing.begin(), missing.end()), ", ")};
  try {
    ir::infer_shapes(model);
    exec::CompileOptions options;
    options.trainable = [](const ir::Value&) { return false; };
    const auto program = exec::Program::compile(model, options);
    for (const auto& set : fs::directory_iterator(folder)) {
      if (!set.is_directory()) continue;
      const auto inputs = tensors(set.path(), "input");
      const auto expected = tensors(set.path(), "output");
      exec::Program::Named named;
      for (size_t i = 0; i < inputs.size(); ++i)
        named.emplace_back(model.graph->inputs().at(i)->name(),
                           as_typed(inputs[i], *model.graph->inputs().at(i)));
      const auto outputs = program->run(named);
      for (size_t i = 0; i < expected.size(); ++i) {
        const std::string off =
            difference(outputs.at(i),
                       as_typed(expected[i], *model.graph->outputs().at(i)));
        if (!off.empty())
          return {Outcome::kFailed, "output " + std::to_string(i) + ": " + off};
      }
    }
  } catch (const Error& error) {
    return {Outcome::kFailed, error.what()};
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return {Outcome::kFailed, what.substr(0, what.find('\n'))};
  }
  return {};
}

std::string page(const std::map<std::string, Result>& results, int64_t passed,
                 int64_t in_scope) {
  std::string text =
      "# Operators that the executor runs\n\nWritten by `LATHE_WRITE_DOCS=1 "
      "test_exec` from the ONNX backend's node tests (Debian's\n"
      "libonnx-testdata).\n\n" +
      std::to_string(passed) + " of " + std::to_string(in_scope) +
      " cases pass whose operators have a kernel and whose values are tensors "
      "of numbers.\n\n## Operators\n\n" +
      join(exec::executable_operators(), ", ") + "\n\n## Cases that fail\n\n";
  std::string failed, without, unread;
  for (const auto& [name, result] : results) {
    if (result.outcome == Outcome::kFailed) {
      const auto known = known_failures().find(name);
      failed +=
          "| " + name + " | " +
          (known == known_failures().end() ? result.reason : known->second) +
          " |\n";
    }
    if (result.outcome == Outcome::kNoKernel)
      without += "| " + name + " | " + result.reason + " |\n";
    if (result.outcome == Outcome::kNotRead)
      unread += "| " + name + " | " + result.reason + " |\n";
  }
  text +=
      failed.empty() ? "None.\n" : "| case | reason |\n|---|---|\n" + failed;
  text +=
      "\n## Cases with an operator that has no kernel\n\n| case | operator "
      "|\n|---|---|\n" +
      without;
  return text;
}

TEST_CASE("the ONNX backend's node tests") {
  const fs::path data = testdata();
  if (data.empty()) {
    MESSAGE(
        "skipped: no ONNX test data (package libonnx-testdata, or set "
        "LATHE_ONNX_TESTDATA)");
    return;
  }
  at::NoGradGuard no_grad;
  std::map<std::string, Result> results;
  for (const auto& entry : fs::directory_iterator(data / "node"))
    if (fs::exists(entry.path() / "model.onnx"))
      results[entry.path().filename().string()] = run_case(entry.path());
  REQUIRE(results.size() > 500);
  int64_t passed = 0, in_scope = 0, without = 0;
  for (const auto& [name, result] : results) {
    passed += result.outcome == Outcome::kPassed;
    in_scope += result.outcome == Outcome::kPassed ||
                result.outcome == Outcome::kFailed;
    without += result.outcome == Outcome::kNoKernel;
    if (result.outcome != Outcome::kFailed) continue;
    CHECK_MESSAGE(known_failures().contains(name),
                  name << ": " << result.reason);
  }
  MESSAGE(passed << " of " << in_scope << " cases pass; " << without
                 << " have an operator without a kernel");
  CHECK(static_cast<double>(passed) >= 0.98 * static_cast<double>(in_scope));
  if (std::getenv("LATHE_WRITE_DOCS"))
    write_file_atomic(fs::path(LATHE_SOURCE_DIR) / "docs" / "operators.md",
                      page(results, passed, in_scope));
}

}  // namespace
}  // namespace lathe
