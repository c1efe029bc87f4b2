// The hyperparameters of a Gaussian process, by marginal likelihood. Internal
// to the estimator.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "calibration/latency/estimator/gaussian_process.h"

namespace lathe::latency::process {

inline constexpr double kSqrt5 = 2.23606797749979;
// Keeps a covariance of near points positive definite.
inline constexpr double kJitter = 1e-4;

// The logarithms that are fitted.
struct Hyper {
  Eigen::VectorXd length;
  double amplitude = 0, noise = 0, shared = 0;  // standard deviations

  int size() const { return static_cast<int>(length.size()) + 3; }
  double& at(int i) {
    int d = static_cast<int>(length.size());
    if (i < d) return length[i];
    return i == d ? amplitude : i == d + 1 ? noise : shared;
  }
};

// Of all pairs of rows.
Eigen::MatrixXd squared_distances(const Eigen::MatrixXd& a,
                                  const Eigen::MatrixXd& b);
// Correlation from squared distances.
Eigen::MatrixXd matern(const Eigen::MatrixXd& squared);
// 1 where both points are of one group.
Eigen::MatrixXd same_group(const std::vector<int>& group);

// At most `count` of n, evenly spread over the order given.
std::vector<int> thinned(int n, int count);

template <class Matrix>
Matrix rows_of(const Matrix& from, const std::vector<int>& rows) {
  Matrix to(static_cast<Eigen::Index>(rows.size()), from.cols());
  for (size_t i = 0; i < rows.size(); ++i)
    to.row(static_cast<Eigen::Index>(i)) = from.row(rows[i]);
  return to;
}
std::vector<int> groups_of(const std::vector<int>& from,
                           const std::vector<int>& rows);

// `x`: features of mean 0 and standard deviation 1; `y`: targets of mean 0.
Hyper tune(const Eigen::MatrixXd& x, const Eigen::VectorXd& y,
           const RegressionData& data, const GaussianProcessOptions& options);

}  // namespace lathe::latency::process
