// Draws what prune_bench found, as SVG files for docs/pruning.md:
//   prune_pictures BENCH.json FOLDER
// staircase.svg (table S), plan.svg (the plans of ResNet-56 in table A) and
// result.svg (tables A and B: top-1 against latency).
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/json.h"

namespace lathe {
namespace {

struct Point {
  double x, y;
};

// A chart with axes from 0, in user units.
class Chart {
 public:
  Chart(std::string x_label, std::string y_label, double x_max, double y_min,
        double y_max)
      : x_max_(x_max), y_min_(y_min), y_max_(y_max) {
    for (int i = 0; i <= 5; ++i) {
      const double x = x_max * i / 5, y = y_min + (y_max - y_min) * i / 5;
      line(place({0, y}), place({x_max, y}), "#ddd");
      text({place({0, y}).x - 8, place({0, y}).y + 4}, number(y), "end");
      text({place({x, y_min}).x, kBottom + 18}, number(x), "middle");
    }
    text({(kLeft + kRight) / 2, kBottom + 40}, std::move(x_label), "middle");
    body_ += fmt::format(
        "<text x=\"16\" y=\"{:.0f}\" text-anchor=\"middle\" transform=\"rotate("
        "-90 16 {:.0f})\">{}</text>\n",
        (kTop + kBottom) / 2, (kTop + kBottom) / 2, y_label);
  }

  void curve(const std::vector<Point>& points, const char* color) {
    std::string list;
    for (const Point& point : points)
      list += fmt::format("{:.1f},{:.1f} ", place(point).x, place(point).y);
    body_ += fmt::format(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" "
        "stroke-width=\"2\"/>\n",
        list, color);
  }
  void dots(const std::vector<Point>& points, const char* color) {
    for (const Point& point : points)
      body_ += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n",
          place(point).x, place(point).y, color);
  }
  void key(const std::string& name, const char* color) {
    const double y = kTop + 12 + 20 * keys_++;
    body_ += fmt::format(
        "<rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"14\" height=\"10\" "
        "fill=\"{}\"/>\n",
        kLeft + 16, y - 9, color);
    text({kLeft + 36, y}, name, "start");
  }
  std::string svg() const {
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 400\" "
           "font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"640\" "
           "height=\"400\" fill=\"#fff\"/>\n" +
           body_ + "</svg>\n";
  }

 private:
  static constexpr double kLeft = 70, kRight = 620, kTop = 20, kBottom = 345;

  static std::string number(double value) {
    return fmt::format("{:.4g}", value);
  }
  Point place(const Point& point) const {
    return {
        kLeft + (kRight - kLeft) * point.x / x_max_,
        kBottom - (kBottom - kTop) * (point.y - y_min_) / (y_max_ - y_min_)};
  }
  void line(const Point& a, const Point& b, const char* color) {
    body_ += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" "
        "stroke=\"{}\"/>\n",
        a.x, a.y, b.x, b.y, color);
  }
  void text(const Point& at, std::string words, const char* anchor) {
    body_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", at.x,
        at.y, anchor, words);
  }

  double x_max_, y_min_, y_max_;
  int keys_ = 0;
  std::string body_;
};

constexpr const char* kBlue = "#2563eb";
constexpr const char* kOrange = "#ea8a12";
constexpr const char* kGrey = "#9ca3af";

std::string staircase(const Json& rows) {
  std::vector<Point> estimated, measured;
  double most = 0, widest = 0;
  for (const Json& row : rows) {
    estimated.push_back({row.at("width"), row.at("estimated_us")});
    measured.push_back({row.at("width"), row.at("measured_us")});
    most = std::max({most, estimated.back().y, measured.back().y});
    widest = std::max(widest, estimated.back().x);
  }
  const double least = std::min(estimated.front().y, measured.front().y) * 0.98;
  Chart chart("channels kept of one group", "latency of the network, us",
              widest, least, most);
  chart.curve(estimated, kBlue);
  chart.dots(measured, kOrange);
  chart.key("estimated", kBlue);
  chart.key("measured", kOrange);
  return chart.svg();
}

// The groups of one network, a column each: units, and what two plans keep.
std::string plan(const std::vector<Json>& plans) {
  const Json& groups = plans.front().at("groups");
  double most = 0;
  for (const Json& group : groups)
    most = std::max(most, group.at("units").get<double>());
  Chart chart("groups in the order of execution", "units",
              static_cast<double>(groups.size()), 0, most);
  const auto steps = [](const Json& list, const char* key) {
    std::vector<Point> points;
    for (size_t i = 0; i < list.size(); ++i) {
      const double y = list[i].at(key);
      points.push_back({static_cast<double>(i), y});
      points.push_back({static_cast<double>(i + 1), y});
    }
    return points;
  };
  chart.curve(steps(groups, "units"), kGrey);
  chart.key("dense", kGrey);
  const char* colors[] = {kBlue, kOrange};
  for (size_t i = 0; i < plans.size() && i < 2; ++i) {
    chart.curve(steps(plans[i].at("groups"), "kept"), colors[i]);
    chart.key(fmt::format("target {}x, {} blocks gone",
                          plans[i].at("target").get<double>(),
                          plans[i].at("removed_blocks").size()),
              colors[i]);
  }
  return chart.svg();
}

std::string result(const std::vector<Json>& lathe, const Json& uniform) {
  const auto points = [](const auto& rows) {
    std::vector<Point> list;
    for (const Json& row : rows)
      list.push_back(
          {row.at("measured_ratio"), 100 * row.at("top1").get<double>()});
    std::ranges::sort(list, {}, &Point::x);
    return list;
  };
  Chart chart("measured latency, of the dense model's",
              "top-1 without training, %", 1, 0, 100);
  chart.curve(points(uniform), kGrey);
  chart.dots(points(uniform), kGrey);
  chart.curve(points(lathe), kBlue);
  chart.dots(points(lathe), kBlue);
  chart.key("solved against the latency", kBlue);
  chart.key("uniform L1", kGrey);
  return chart.svg();
}

void draw(const Json& bench, const std::filesystem::path& folder) {
  std::vector<Json> rows, plans;
  for (const Json& row : bench.at("A"))
    if (row.at("model") == "resnet56") {
      rows.push_back(row);
      const double target = row.at("target");
      if (target == 0.6 || target == 0.25) plans.push_back(row);
    }
  write_file_atomic(folder / "staircase.svg", staircase(bench.at("S")));
  write_file_atomic(folder / "plan.svg", plan(plans));
  write_file_atomic(folder / "result.svg", result(rows, bench.at("uniform")));
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: prune_pictures BENCH.json FOLDER\n");
    return 2;
  }
  try {
    lathe::draw(lathe::Json::parse(lathe::read_file(argv[1], 64 << 20)),
                argv[2]);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "prune_pictures: {}\n", error.what());
    return 1;
  }
}
