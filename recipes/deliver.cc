#include "recipes/deliver.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/hash.h"
#include "recipes/candidate.h"
#include "recipes/manifest.h"
#include "recipes/variants.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;

void note_rejections(const DeliveryContext& context, const Report& report) {
  if (report.variants.empty())
    context.note("no variant is delivered; 'rejected' says why");
  for (const RejectedVariant& rejected : report.rejected)
    if (rejected.slower)
      context.note(
          fmt::format("the result of stage '{}' is {}; it is not delivered",
                      rejected.stage, rejected.reason));
}

void record_variants(const fs::path& folder, Report& report) {
  std::set<std::string> paths;
  for (const VariantReport& variant : report.variants) {
    const fs::path file = folder / variant.path;
    if (!paths.insert(variant.path).second) continue;
    std::vector<fs::path> files = external_data_files(file);
    files.insert(files.begin(), file);
    for (const fs::path& one : files) {
      report.outputs.push_back(record_file("variant", one));
      report.outputs.back().path = "variants/" + one.filename().string();
    }
  }
}

void judge_file(const DeliveryContext& context, const fs::path& file,
                Report& report) {
  StageScore input = report.stages.front().score;
  StageReport& last = report.stages.back();
  auto pair = context.scorer->measure_pair(file);
  // Once more where the first was disturbed, whatever it said.
  if (pair && (pair->first.noisy || pair->second.noisy))
    pair = context.scorer->measure_pair(file);
  if (pair) {
    input.measured_latency = pair->first;
    last.score.measured_latency = pair->second;
    last.measured_ratio = pair->second.median_us / pair->first.median_us;
  }
  const auto object = [&](const std::string& line) {
    context.note(line);
    report.exit_code = 3;
  };
  if (slower(last.score, input))
    object("the result is slower than the input model");
  Candidate candidate;
  candidate.score = last.score;
  candidate.input = input;
  if (std::string reason = drop_objection(candidate, context.recipe.max_drop);
      !reason.empty())
    object(reason);
  for (const Target& target : context.recipe.latency_targets)
    if (meets(target, last.score, input) == Met::kNo)
      object("the target is missed: " + target_reason(candidate, target));
}

// Less signal than this in an output is a collapse, whatever the budget; less
// than the second is worth a word.
constexpr double kCollapsedDb = 3, kWeakDb = 15;

void judge_fidelity(const DeliveryContext& context, Report& report) {
  const auto& accuracy = report.stages.back().score.accuracy;
  if (!accuracy) return;
  for (const OutputFidelity& output : accuracy->outputs) {
    if (output.sqnr_db >= kWeakDb) continue;
    const bool collapsed = !(output.sqnr_db >= kCollapsedDb);
    context.note(fmt::format(
        "{}: output '{}' has {:.1f} dB of signal to noise against the input "
        "model's; `lathe compare` shows the layer where",
        collapsed ? "the model has collapsed" : "much of the signal is lost",
        output.name, output.sqnr_db));
    if (collapsed) report.exit_code = 3;
    return;
  }
}

}  // namespace

void deliver_folder(const DeliveryContext& context, const fs::path& folder,
                    Report& report) {
  report.inputs = record_inputs(context.recipe);
  if (!context.device_file.empty())
    report.inputs.push_back(record_file("device", context.device_file));
  context.check_cancelled();
  choose_variants(context, report);
  note_rejections(context, report);
  context.check_cancelled();
  // From here on only renames and two small files: an interruption before has
  // changed nothing but scratch.
  std::error_code ignored;
  fs::remove(folder / "report.json", ignored);
  deliver_variants(report, context.scratch, folder);
  record_variants(folder, report);
  const std::string text = to_json(report).dump(2) + "\n";
  report.outputs.push_back(
      {"report", "report.json", sha256_hex(text), text.size()});
  write_file_atomic(folder / "manifest.json",
                    manifest_json(report).dump(2) + "\n");
  write_file_atomic(folder / "report.json", text);
}

void deliver_file(const DeliveryContext& context, const fs::path& file,
                  Report& report) {
  const fs::path folder = context.scratch.folder("output");
  const fs::path unchecked = folder / file.filename();
  const std::string problem =
      write_checked(context.models.back(), unchecked, context.inputs);
  if (!problem.empty())
    throw Error(ErrorKind::kUnsupported, file.string(), problem,
                "nothing was written");
  if (context.scorer) judge_file(context, unchecked, report);
  report.outputs.push_back(record_file("variant", unchecked));
  report.outputs.back().path = file.string();
  if (context.accuracy && context.accuracy->valid()) context.accuracy->get();
  judge_fidelity(context, report);
  context.check_cancelled();
  move_files(folder, fs::absolute(file).parent_path());
}

}  // namespace lathe::recipes
