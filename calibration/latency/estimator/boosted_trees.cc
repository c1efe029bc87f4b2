#include "calibration/latency/estimator/boosted_trees.h"

#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/rounding.h"
#include "passes/base/random.h"

namespace lathe::latency {
namespace {

constexpr double kLeafUnit = 1e-4;

// Thresholds that cut a column into about equally many points, rounded.
std::vector<double> cuts(const Eigen::VectorXd& column, int bins) {
  std::vector<double> sorted(column.begin(), column.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> distinct = sorted;
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<double> at;
  auto between = [&](double low, double high) {
    double cut = rounded((low + high) / 2, 5);
    if (cut < low || cut >= high) cut = low;
    if (at.empty() || cut > at.back()) at.push_back(cut);
  };
  if (distinct.size() <= static_cast<size_t>(bins)) {
    for (size_t i = 1; i < distinct.size(); ++i)
      between(distinct[i - 1], distinct[i]);
    return at;
  }
  for (int b = 1; b < bins; ++b) {
    size_t i =
        sorted.size() * static_cast<size_t>(b) / static_cast<size_t>(bins);
    auto above = std::upper_bound(sorted.begin(), sorted.end(), sorted[i - 1]);
    if (above == sorted.end()) break;
    between(sorted[i - 1], *above);
  }
  return at;
}

struct Bins {
  std::vector<std::vector<double>> cuts;     // of each feature
  std::vector<std::vector<uint8_t>> values;  // of each feature and point

  Bins(const Eigen::MatrixXd& x, int most) {
    for (Eigen::Index c = 0; c < x.cols(); ++c) {
      cuts.push_back(latency::cuts(x.col(c), most));
      std::vector<uint8_t> column;
      for (double value : x.col(c))
        column.push_back(static_cast<uint8_t>(
            std::lower_bound(cuts.back().begin(), cuts.back().end(), value) -
            cuts.back().begin()));
      values.push_back(std::move(column));
    }
  }
};

struct Sum {
  double residual = 0, weight = 0;
  void add(const Sum& other) {
    residual += other.residual;
    weight += other.weight;
  }
  double gain(double damping) const {
    return residual * residual / (weight + damping);
  }
};

struct Growth {
  const Bins& bins;
  const Eigen::VectorXd& weight;
  const BoostedTreesOptions& options;
  double damping;

  ObliviousTree grow(const Eigen::VectorXd& residual,
                     const std::vector<int>& rows, Random& random) const {
    ObliviousTree tree;
    std::vector<int> leaf(rows.size(), 0);
    for (int level = 0; level < options.depth; ++level) {
      int feature = -1, bin = 0;
      if (!best_cut(residual, rows, leaf, 1 << level, random, feature, bin))
        break;
      auto column = static_cast<size_t>(feature);
      tree.features.push_back(feature);
      tree.thresholds.push_back(bins.cuts[column][static_cast<size_t>(bin)]);
      for (size_t i = 0; i < rows.size(); ++i)
        if (bins.values[column][static_cast<size_t>(rows[i])] > bin)
          leaf[i] |= 1 << level;
    }
    std::vector<Sum> sums(size_t{1} << tree.features.size());
    for (size_t i = 0; i < rows.size(); ++i)
      sums[static_cast<size_t>(leaf[i])].add(
          {residual[rows[i]] * weight[rows[i]], weight[rows[i]]});
    for (const Sum& sum : sums)
      tree.leaves.push_back(static_cast<int>(std::lround(
          options.rate * sum.residual / (sum.weight + damping) / kLeafUnit)));
    return tree;
  }

  bool best_cut(const Eigen::VectorXd& residual, const std::vector<int>& rows,
                const std::vector<int>& leaf, int leaves, Random& random,
                int& feature, int& bin) const {
    double best = 0;
    std::vector<Sum> all(static_cast<size_t>(leaves));
    for (size_t i = 0; i < rows.size(); ++i)
      all[static_cast<size_t>(leaf[i])].add(
          {residual[rows[i]] * weight[rows[i]], weight[rows[i]]});
    double before = 1e-12;
    for (const Sum& sum : all) before += sum.gain(damping);
    std::vector<Sum> histogram;
    for (size_t c = 0; c < bins.cuts.size(); ++c) {
      size_t count = bins.cuts[c].size() + 1;
      bool asked = random.uniform() < options.feature_share;
      if (count < 2 || !asked) continue;
      histogram.assign(count * static_cast<size_t>(leaves), {});
      for (size_t i = 0; i < rows.size(); ++i) {
        int row = rows[i];
        histogram[static_cast<size_t>(leaf[i]) * count +
                  bins.values[c][static_cast<size_t>(row)]]
            .add({residual[row] * weight[row], weight[row]});
      }
      std::vector<double> gains(count - 1, 0.0);
      for (int l = 0; l < leaves; ++l) {
        Sum low;
        for (size_t b = 0; b + 1 < count; ++b) {
          low.add(histogram[static_cast<size_t>(l) * count + b]);
          Sum high = all[static_cast<size_t>(l)];
          high.residual -= low.residual;
          high.weight -= low.weight;
          gains[b] += low.gain(damping) + high.gain(damping);
        }
      }
      for (size_t b = 0; b + 1 < count; ++b)
        if (gains[b] - before > best * (1 + 1e-9) + 1e-12) {
          best = gains[b] - before;
          feature = static_cast<int>(c);
          bin = static_cast<int>(b);
        }
    }
    return feature >= 0;
  }
};

}  // namespace

BoostedTrees BoostedTrees::fit(const RegressionData& data,
                               const BoostedTreesOptions& options,
                               uint64_t seed) {
  BoostedTreesState state;
  const auto n = static_cast<int>(data.target.size());
  // Weights of mean 1, so that the damping counts points.
  Eigen::VectorXd weight = data.noise.cwiseInverse();
  weight /= weight.mean();
  state.offset = rounded(weight.dot(data.target) / n, 5);
  Eigen::VectorXd residual = data.target.array() - state.offset;
  Bins bins(data.features, options.bins);
  Growth growth{bins, weight, options, options.damping};
  Random random(seed);
  for (int t = 0; t < options.trees; ++t) {
    std::vector<int> rows;
    for (int i = 0; i < n; ++i)
      if (random.uniform() < options.row_share) rows.push_back(i);
    if (rows.empty()) continue;
    ObliviousTree tree = growth.grow(residual, rows, random);
    if (tree.features.empty()) continue;
    for (int i = 0; i < n; ++i) {
      size_t leaf = 0;
      for (size_t l = 0; l < tree.features.size(); ++l)
        if (data.features(i, tree.features[l]) > tree.thresholds[l])
          leaf |= size_t{1} << l;
      residual[i] -= tree.leaves[leaf] * kLeafUnit;
    }
    state.trees.push_back(std::move(tree));
  }
  return BoostedTrees(std::move(state));
}

BoostedTrees::BoostedTrees(BoostedTreesState state) : state_(std::move(state)) {
  for (const ObliviousTree& tree : state_.trees) {
    depth_.push_back(static_cast<int>(tree.features.size()));
    for (size_t l = 0; l < tree.features.size(); ++l)
      levels_.push_back(
          {tree.features[l], static_cast<float>(tree.thresholds[l])});
    for (int leaf : tree.leaves)
      leaves_.push_back(static_cast<float>(leaf * kLeafUnit));
  }
}

double BoostedTrees::predict(const float* features) const {
  double sum = state_.offset;
  const Level* level = levels_.data();
  const float* leaves = leaves_.data();
  for (int depth : depth_) {
    size_t leaf = 0;
    for (int l = 0; l < depth; ++l, ++level)
      leaf |= static_cast<size_t>(features[level->feature] > level->threshold)
              << l;
    sum += static_cast<double>(leaves[leaf]);
    leaves += size_t{1} << depth;
  }
  return sum;
}

}  // namespace lathe::latency
