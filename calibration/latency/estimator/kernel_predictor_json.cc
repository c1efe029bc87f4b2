#include "calibration/latency/estimator/kernel_predictor_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/kernel_predictor_reader.h"
#include "passes/base/error.h"

namespace lathe::latency {
namespace {

constexpr int kSchema = 1;
// Far above what a fit makes; keeps a broken file from asking for more.
constexpr size_t kMostCells = 200, kMostKinds = 500, kMostPoints = 4000,
                 kMostTrees = 2000, kMostTold = 64, kMostVariancePoints = 256;
constexpr int64_t kMostSamples = int64_t{1} << 40;

Json prices_json(const Terms& prices) {
  Json json = Json::object();
  for (size_t i = 0; i < kTerms; ++i)
    if (prices[i] != 0) json[kTermRows[i].name] = prices[i];
  return json;
}

Terms read_prices(const Reader& reader) {
  Terms prices{};
  if (!reader.json().is_object()) reader.expected("an object");
  for (const auto& [name, value] : reader.json().items()) {
    auto found = std::ranges::find(kTermRows, name, &TermRow::name);
    if (found == kTermRows.end())
      reader.at(name).fail("there is no price of '" + name + "'");
    prices[static_cast<size_t>(found - kTermRows.begin())] =
        reader.at(name).number(0, 1e9);
  }
  return prices;
}

Json process_json(const GaussianProcessState& s) {
  Json json = {
      {"amplitude", s.amplitude},     {"noise", s.noise},
      {"offset", s.offset},           {"variance_points", s.variance_points},
      {"inputs", packed(s.inputs)},   {"mean", packed(s.mean)},
      {"scale", packed(s.scale)},     {"length", packed(s.length)},
      {"weights", packed(s.weights)}, {"point_noise", packed(s.point_noise)},
      {"points", Json::array()}};
  for (const auto& point : s.points) json["points"].push_back(packed(point));
  return json;
}

GaussianProcessState read_process(const Reader& reader, size_t features) {
  GaussianProcessState s;
  s.inputs = reader.at("inputs").numbers<int>(1, features, 0,
                                              static_cast<int>(features) - 1);
  const size_t inputs = s.inputs.size();
  s.amplitude = reader.at("amplitude").number(1e-6, 1e3);
  s.noise = reader.at("noise").number(1e-6, 1e3);
  s.offset = reader.at("offset").number(-100, 100);
  auto list = [&](const char* key, double low, double high) {
    return reader.at(key).numbers<double>(inputs, inputs, low, high);
  };
  s.mean = list("mean", -1e6, 1e6);
  s.scale = list("scale", 1e-4, 1e6);
  s.length = list("length", 1e-4, 1e6);
  Reader points = reader.at("points");
  size_t n = points.array(1, kMostPoints);
  for (size_t i = 0; i < n; ++i)
    s.points.push_back(
        points.at(i).numbers<int>(inputs, inputs, -10000000, 10000000));
  s.weights = reader.at("weights").numbers<double>(n, n, -1e9, 1e9);
  s.point_noise = reader.at("point_noise").numbers<int>(n, n, 1, 1000000);
  s.variance_points = static_cast<int>(
      reader.at("variance_points")
          .integer(1, static_cast<int64_t>(std::min(n, kMostVariancePoints))));
  return s;
}

Json trees_json(const BoostedTreesState& s) {
  Json json = {{"offset", s.offset}, {"trees", Json::array()}};
  for (const ObliviousTree& tree : s.trees)
    json["trees"].push_back(
        {packed(tree.features), packed(tree.thresholds), packed(tree.leaves)});
  return json;
}

BoostedTreesState read_trees(const Reader& reader, size_t inputs) {
  BoostedTreesState s;
  s.offset = reader.at("offset").number(-100, 100);
  Reader trees = reader.at("trees");
  size_t n = trees.array(0, kMostTrees);
  for (size_t i = 0; i < n; ++i) {
    Reader tree = trees.at(i);
    tree.array(3, 3);
    ObliviousTree read;
    read.features =
        tree.at(size_t{0}).numbers<int>(1, 10, 0, static_cast<int>(inputs) - 1);
    size_t levels = read.features.size();
    read.thresholds =
        tree.at(size_t{1}).numbers<double>(levels, levels, -1e12, 1e12);
    size_t leaves = size_t{1} << levels;
    read.leaves =
        tree.at(size_t{2}).numbers<int>(leaves, leaves, -10000000, 10000000);
    s.trees.push_back(std::move(read));
  }
  return s;
}

Json cell_json(const Cell& cell) {
  Json json = {{"prices", prices_json(cell.prices)},
               {"spread", cell.spread},
               {"spread_scale", cell.spread_scale},
               {"kinds", Json::object()}};
  for (const auto& [kind, entry] : cell.kinds)
    json["kinds"][kind] = {{"samples", entry.samples},
                           {"prices", prices_json(entry.prices)}};
  if (!cell.process) return json;
  json["features"] = Json::array();
  for (int feature : cell.features)
    json["features"].push_back(kFeatureRows[static_cast<size_t>(feature)].name);
  json["told_kinds"] = cell.told_kinds;
  json["process_share"] = cell.process_share;
  json["process"] = process_json(cell.process->state());
  if (cell.trees) json["trees"] = trees_json(cell.trees->state());
  return json;
}

void read_features(const Reader& reader, Cell& cell) {
  size_t n = reader.array(0, kFeatures);
  for (size_t i = 0; i < n; ++i) {
    std::string name = reader.at(i).string();
    auto found = std::ranges::find(kFeatureRows, name, &FeatureRow::name);
    if (found == kFeatureRows.end())
      reader.at(i).fail("there is no feature '" + name + "'");
    cell.features.push_back(static_cast<int>(found - kFeatureRows.begin()));
  }
}

Cell read_cell(const Reader& reader) {
  Cell cell;
  cell.prices = read_prices(reader.at("prices"));
  cell.spread = reader.at("spread").number(0, 10);
  cell.spread_scale = reader.at("spread_scale").number(0.01, 100);
  Reader kinds = reader.at("kinds");
  if (!kinds.json().is_object() || kinds.json().size() > kMostKinds)
    kinds.expected("an object of at most " + std::to_string(kMostKinds) +
                   " kinds");
  for (const auto& [kind, value] : kinds.json().items()) {
    Reader entry = kinds.at(kind);
    KindPrices& prices = cell.kinds[kind];
    prices.samples = entry.at("samples").integer(0, kMostSamples);
    prices.prices = read_prices(entry.at("prices"));
  }
  if (!reader.has("process")) return cell;
  read_features(reader.at("features"), cell);
  Reader told = reader.at("told_kinds");
  size_t n = told.array(0, kMostTold);
  for (size_t i = 0; i < n; ++i) cell.told_kinds.push_back(told.at(i).string());
  cell.process_share = reader.at("process_share").number(0, 1);
  cell.process.emplace(read_process(reader.at("process"), cell.inputs()));
  if (reader.has("trees"))
    cell.trees.emplace(read_trees(reader.at("trees"), cell.inputs()));
  return cell;
}

Json network_json(const NetworkModel& n) {
  return {{"scale", n.scale},
          {"node_us", n.node_us},
          {"fixed_us", n.fixed_us},
          {"shared", n.shared},
          {"linear", n.linear},
          {"own", n.own},
          {"absolute_us", n.absolute_us},
          {"reach_low", n.reach_low},
          {"reach_high", n.reach_high}};
}

NetworkModel read_network(const Reader& reader) {
  NetworkModel n;
  n.scale = reader.at("scale").number(0.01, 100);
  n.node_us = reader.at("node_us").number(-1000, 1000);
  n.fixed_us = reader.at("fixed_us").number(-1e5, 1e5);
  n.shared = reader.at("shared").number(0, 10);
  n.linear = reader.at("linear").number(0, 10);
  n.own = reader.at("own").number(0, 10);
  n.absolute_us = reader.at("absolute_us").number(0, 1e5);
  n.reach_low = reader.at("reach_low").number(0, 20);
  n.reach_high = reader.at("reach_high").number(0, 20);
  return n;
}

Json validation_json(const ValidationError& v) {
  return {{"networks", v.networks},   {"mape", v.mape},
          {"rmspe", v.rmspe},         {"within_5", v.within_5},
          {"within_10", v.within_10}, {"coverage", v.coverage}};
}

ValidationError read_validation(const Reader& reader) {
  ValidationError v;
  v.networks = reader.at("networks").integer(0, kMostSamples);
  v.mape = reader.at("mape").number(0, 1e6);
  v.rmspe = reader.at("rmspe").number(0, 1e6);
  v.within_5 = reader.at("within_5").number(0, 1);
  v.within_10 = reader.at("within_10").number(0, 1);
  v.coverage = reader.at("coverage").number(0, 1);
  return v;
}

}  // namespace

Json predictor_json(const PredictorState& state) {
  Json json = {{"schema_version", kSchema},
               {"lanes", state.kernels.lanes},
               {"validation", validation_json(state.validation)},
               {"network", network_json(state.network)},
               {"fallback", cell_json(state.kernels.fallback)},
               {"cells", Json::object()}};
  for (const auto& [name, cell] : state.kernels.cells)
    json["cells"][name] = cell_json(cell);
  return json;
}

PredictorState predictor_from(const JsonText& text,
                              const std::string& pointer) {
  const Json* json = nullptr;
  try {
    json = &text.root().at(Json::json_pointer(pointer));
  } catch (const Json::exception&) {
    throw_input(text.where(pointer), "there is no predictor here");
  }
  Reader reader(text, *json, pointer);
  Reader version = reader.at("schema_version");
  if (version.integer(0, 1000000) != kSchema)
    version.fail("found version " + version.json().dump() +
                     " of the predictor, expected " + std::to_string(kSchema),
                 "profile the device again with this version of lathe");
  PredictorState state;
  state.kernels.lanes = static_cast<int>(reader.at("lanes").integer(1, 1024));
  state.validation = read_validation(reader.at("validation"));
  state.network = read_network(reader.at("network"));
  state.kernels.fallback = read_cell(reader.at("fallback"));
  Reader cells = reader.at("cells");
  if (!cells.json().is_object() || cells.json().size() > kMostCells)
    cells.expected("an object of at most " + std::to_string(kMostCells) +
                   " cells");
  for (const auto& [name, value] : cells.json().items())
    state.kernels.cells.emplace(name, read_cell(cells.at(name)));
  return state;
}

}  // namespace lathe::latency
