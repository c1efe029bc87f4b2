// Regression by a Gaussian process with a Matern 5/2 kernel and one length
// scale a feature (Rasmussen and Williams 2006, ch. 2, 4, 5). Internal to the
// estimator.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

namespace lathe::latency {

// What to fit to: a row of features for each point.
struct RegressionData {
  Eigen::MatrixXd features;  // points x features
  Eigen::VectorXd target;
  // The variance of a point's noise over the model's own: 1 for a good
  // measurement, more for a short or scattered one.
  Eigen::VectorXd noise;
  // Points of one group were measured together and share a part of their error.
  std::vector<int> group;
};

struct GaussianProcessOptions {
  int most_points = 600;   // kept; more are thinned out
  int tuned_points = 160;  // that the hyperparameters are fitted to
  int steps = 25;          // of that fit
  int variance_points = 64;
};

// What is stored of a fit, rounded as it is stored. Everything that predicts
// follows from it.
struct GaussianProcessState {
  std::vector<int> inputs;          // the features that matter, in order
  std::vector<double> mean, scale;  // of each of them
  std::vector<double> length;       // length scales, of scaled features
  double amplitude = 0;             // standard deviation of the function
  double noise = 0;                 // standard deviation of a point's noise
  double offset = 0;                // of the target
  // Scaled features in hundredths, the points that the variance uses first.
  std::vector<std::vector<int>> points;
  std::vector<int> point_noise;  // in hundredths of the variance `noise`^2
  std::vector<double> weights;   // of each point
  int variance_points = 0;
};

class GaussianProcess {
 public:
  struct Prediction {
    double mean = 0;
    double variance = 0;  // of the function, without noise
  };

  // At least two points. Deterministic.
  static GaussianProcess fit(const RegressionData& data,
                             const GaussianProcessOptions& options);
  // The state must be consistent: as many weights as points, as many entries a
  // point as inputs, 1 <= variance_points <= points.
  explicit GaussianProcess(GaussianProcessState state);

  Prediction predict(const float* features) const;
  const GaussianProcessState& state() const { return state_; }

 private:
  GaussianProcessState state_;
  // Points x features, scaled by mean, scale and length.
  Eigen::ArrayXXf points_;
  Eigen::ArrayXf weights_;
  Eigen::ArrayXf shift_, factor_;  // feature * factor + shift is scaled
  // The part of the prior variance that the points take away is k' explained_
  // k, over the variance points.
  Eigen::MatrixXf explained_;
};

}  // namespace lathe::latency
