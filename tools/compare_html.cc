#include "tools/compare_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "tools/html.h"

namespace lathe::cli {
namespace {

using accuracy::Comparison;
using accuracy::LayerError;

constexpr char kStyle[] = R"(
.good { fill: #3b7dd8; } .fair { fill: #d99a1c; } .bad { fill: #c8413b; }
.layers th:nth-child(2), .layers td:nth-child(2) { text-align: left; }
tr.jump td { font-weight: bold; }
)";

constexpr int kBar = 14, kGap = 4, kHeight = 240, kLeft = 44, kTop = 12;
constexpr double kTallestDb = 60;  // bars end there

int height_of(double sqnr_db) {
  return static_cast<int>(kHeight * std::clamp(sqnr_db, 0.0, kTallestDb) /
                          kTallestDb);
}

const char* level_of(double sqnr_db) {
  if (sqnr_db < accuracy::kJumpSqnrDb) return "bad";
  return sqnr_db < accuracy::kGoodSqnrDb ? "fair" : "good";
}

std::string chart(const Comparison& comparison) {
  const int width =
      kLeft + static_cast<int>(comparison.layers.size()) * (kBar + kGap) + kGap;
  std::string svg = fmt::format(
      "<div class=\"chart\"><svg role=\"img\" aria-label=\"SQNR by layer\" "
      "width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n",
      width, kHeight + kTop + 24);
  for (int db = 0; db <= kTallestDb; db += 20) {
    const int y = kTop + kHeight - height_of(db);
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/><text x=\"{}\" "
        "y=\"{}\" text-anchor=\"end\">{} dB</text>\n",
        kLeft, width, y, y, kLeft - 4, y + 4, db);
  }
  for (size_t i = 0; i < comparison.layers.size(); ++i) {
    const LayerError& layer = comparison.layers[i];
    const int x = kLeft + kGap + static_cast<int>(i) * (kBar + kGap);
    // A bar of no height could not be seen, or pointed at.
    const int height = std::max(height_of(layer.sqnr_db), 2);
    svg += fmt::format(
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\">"
        "<title>{}: {:.1f} dB</title></rect>\n",
        level_of(layer.sqnr_db), x, kTop + kHeight - height, kBar, height,
        html_escaped(accuracy::describe_layer(comparison, i)), layer.sqnr_db);
    if (comparison.jumps && comparison.first_jump == i)
      svg += fmt::format(
          "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">&#9650;</text>\n",
          x + kBar / 2, kTop + kHeight + 16);
  }
  return svg + "</svg></div>\n";
}

std::string cell(const std::string& text) {
  return "<td>" + html_escaped(text) + "</td>";
}

std::string share(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}%", 100 * *value) : "";
}

std::string layer_table(const Comparison& comparison) {
  std::string html =
      "<table class=\"layers\">\n<tr><th>layer</th><th>operator</th><th>SQNR, "
      "dB</th><th>drop, "
      "dB</th><th>cosine</th><th>max |difference|</th><th>channels, "
      "dB</th><th>clipped</th><th>unused codes</th></tr>\n";
  for (size_t i = 0; i < comparison.layers.size(); ++i) {
    const LayerError& layer = comparison.layers[i];
    const bool jump = comparison.jumps && comparison.first_jump == i;
    html += jump ? "<tr class=\"jump\">" : "<tr>";
    html += cell(layer.name) + cell(layer.operator_type) +
            cell(fmt::format("{:.1f}", layer.sqnr_db)) +
            cell(fmt::format("{:.1f}", layer.drop_db)) +
            cell(fmt::format("{:.5f}", layer.cosine)) +
            cell(fmt::format("{:.4g}", layer.max_abs_diff)) +
            cell(layer.channel_sqnr_db
                     ? fmt::format("{:.1f}", *layer.channel_sqnr_db)
                     : "") +
            cell(share(layer.clipped_share)) +
            cell(share(layer.unused_codes_share)) + "</tr>\n";
  }
  return html + "</table>\n";
}

std::string output_table(const Comparison& comparison) {
  if (comparison.accuracy.outputs.empty()) return "";
  std::string html =
      "<h2>Outputs</h2>\n<table>\n<tr><th>output</th><th>SQNR, "
      "dB</th><th>cosine</th><th>max |difference|</th></tr>\n";
  for (const OutputFidelity& output : comparison.accuracy.outputs)
    html += "<tr>" + cell(output.name) +
            cell(fmt::format("{:.1f}", output.sqnr_db)) +
            cell(fmt::format("{:.5f}", output.cosine)) +
            cell(fmt::format("{:.4g}", output.max_abs_diff)) + "</tr>\n";
  return html + "</table>\n";
}

std::string paragraph(const std::string& text) {
  return "<p>" + html_escaped(text) + "</p>\n";
}

}  // namespace

std::string compare_html(const Comparison& comparison,
                         const std::string& reference,
                         const std::string& other) {
  std::string summary = fmt::format("{} samples", comparison.samples);
  if (comparison.accuracy.agreement)
    summary += fmt::format(", agreement {:.2f}%",
                           100 * *comparison.accuracy.agreement);
  if (comparison.accuracy.top1 && comparison.reference_top1)
    summary += fmt::format(", top-1 {:.2f}% before, {:.2f}% after",
                           100 * *comparison.reference_top1,
                           100 * *comparison.accuracy.top1);
  std::string html =
      paragraph(summary) + paragraph(accuracy::describe_jump(comparison));
  for (const std::string& remark : accuracy::comparison_remarks(comparison))
    html += paragraph(remark);
  html += output_table(comparison) + "<h2>SQNR by layer, in execution order" +
          "</h2>\n" + chart(comparison) + layer_table(comparison);
  return html_page(other + " against " + reference, kStyle, html);
}

}  // namespace lathe::cli
