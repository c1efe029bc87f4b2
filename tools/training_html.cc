#include "tools/training_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/html.h"

namespace lathe::cli {
namespace {

constexpr char kStyle[] = R"(
polyline { fill: none; stroke-width: 1.8; }
.key { display: inline-block; margin-right: 1.2rem; }
.key i { display: inline-block; width: 1.2em; height: .25em;
         vertical-align: middle; margin-right: .4em; }
)";

constexpr const char* kColors[] = {"#3b7dd8", "#c8413b", "#d99a1c",
                                   "#3f9b5b", "#8a5bc8", "#5a6b7b"};
constexpr double kWidth = 720, kHeight = 220, kLeft = 64, kTop = 10;
constexpr int kLines = 4;

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

Series series_of(const Json& curve, const std::string& name,
                 const std::string& pointer, double unit = 1) {
  Series series{name, {}};
  const Json::json_pointer place(pointer);
  for (const Json& point : curve)
    if (point.contains(place) && point[place].is_number())
      series.points.emplace_back(point["step"].get<double>(),
                                 unit * point[place].get<double>());
  return series;
}

struct Range {
  double low = 0, high = 0;
};

// Of finite values; a little room where they are all the same.
Range range_of(const std::vector<Series>& all) {
  Range range{INFINITY, -INFINITY};
  for (const Series& series : all)
    for (const auto& [step, value] : series.points)
      if (std::isfinite(value)) {
        range.low = std::min(range.low, value);
        range.high = std::max(range.high, value);
      }
  if (range.high < range.low) return {0, 1};
  if (range.high == range.low) range.high += std::abs(range.high) + 1e-9;
  return range;
}

std::string grid(const Range& range, double steps, const char* format) {
  std::string svg;
  for (int i = 0; i <= kLines; ++i) {
    const double y = kTop + kHeight * i / kLines;
    const double value = range.high - (range.high - range.low) * i / kLines;
    svg += fmt::format(
        "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text "
        "x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kLeft + kWidth, y, kLeft - 6, y + 4,
        fmt::format(fmt::runtime(format), value));
  }
  return svg + fmt::format(
                   "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{:.0f} "
                   "steps</text>\n",
                   kLeft + kWidth, kTop + kHeight + 18, steps);
}

std::string chart(const std::string& title, std::vector<Series> all,
                  const char* format) {
  std::erase_if(all, [](const Series& one) { return one.points.empty(); });
  if (all.empty()) return "";
  const Range range = range_of(all);
  double steps = 1;
  for (const Series& series : all)
    steps = std::max(steps, series.points.back().first);
  std::string keys, lines;
  for (size_t i = 0; i < all.size(); ++i) {
    const char* color = kColors[i % std::size(kColors)];
    keys += fmt::format(
        "<span class=\"key\"><i style=\"background:{}\"></i>{}</span>", color,
        html_escaped(all[i].name));
    std::string points;
    for (const auto& [step, value] : all[i].points)
      if (std::isfinite(value))
        points += fmt::format(
            "{:.1f},{:.1f} ", kLeft + kWidth * step / steps,
            kTop + kHeight * (range.high - value) / (range.high - range.low));
    lines +=
        fmt::format("<polyline stroke=\"{}\" points=\"{}\"/>\n", color, points);
  }
  return fmt::format(
      "<h2>{0}</h2>\n<p>{1}</p>\n<div class=\"chart\"><svg role=\"img\" "
      "aria-label=\"{0}\" width=\"{2}\" height=\"{3}\" viewBox=\"0 0 {2} "
      "{3}\">\n{4}{5}</svg></div>\n",
      html_escaped(title), keys, kLeft + kWidth + 10, kTop + kHeight + 28,
      grid(range, steps, format), lines);
}

std::string charts(const Json& training) {
  const Json& curve = training.at("curve");
  if (curve.empty()) return "";
  std::vector<Series> losses = {series_of(curve, "all together", "/loss"),
                                series_of(curve, "held out", "/held_out_loss")};
  const Json& terms = curve.back().at("terms");
  if (terms.size() > 1)
    for (const auto& [name, value] : terms.items())
      losses.push_back(
          series_of(curve, name, "/terms/" + escape_pointer_token(name)));
  return chart("Loss", losses, "{:.3g}") +
         chart("Right, in percent",
               {series_of(curve, "training", "/accuracy", 100),
                series_of(curve, "held out", "/held_out_accuracy", 100)},
               "{:.1f}") +
         chart("Learning rate", {series_of(curve, "rate", "/learning_rate")},
               "{:.2g}") +
         chart("Samples a second",
               {series_of(curve, "samples/s", "/samples_per_s")}, "{:.0f}");
}

}  // namespace

std::string training_html(const recipes::Report& report) {
  std::string body;
  for (const recipes::StageReport& stage : report.stages) {
    if (stage.training.empty()) continue;
    const Json training = Json::parse(stage.training);
    body += fmt::format(
        "<p>{}: {} steps, {} samples, {:.0f} s</p>\n", html_escaped(stage.name),
        training.value("steps", int64_t{0}),
        training.value("samples", int64_t{0}), training.value("seconds", 0.0));
    for (const Remark& remark : stage.remarks)
      body += fmt::format(
          "<p>{}</p>\n",
          html_escaped((remark.node.empty() ? "" : remark.node + ": ") +
                       remark.reason));
    body += charts(training);
  }
  if (body.empty()) return "";
  return html_page("Training of " + report.recipe.model, kStyle, body);
}

}  // namespace lathe::cli
