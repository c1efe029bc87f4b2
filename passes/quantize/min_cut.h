// The cheapest way to put each of a set of nodes on one of two sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lathe::quantize {

// Minimum s-t cut by maximum flow (Dinic 1970), exact in whole numbers. A cost
// is paid where its two ends lie on different sides in that direction. Nodes
// that no cost decides lie on the sink's side.
class MinCut {
 public:
  // More than every sum of real costs: never paid.
  static constexpr int64_t kNever = int64_t{1} << 52;

  explicit MinCut(size_t nodes);
  size_t add_node();

  // Paid where the node lies on the sink's (the source's) side. Costs from 0.
  void at_sink(size_t node, int64_t cost) { add_edge(source_, node, cost); }
  void at_source(size_t node, int64_t cost) { add_edge(node, sink_, cost); }
  // Paid where `a` lies on the source's side and `b` on the sink's.
  void between(size_t a, size_t b, int64_t cost) { add_edge(a, b, cost); }

  // The costs of the cheapest cut; call it once.
  int64_t solve();
  // After solve().
  bool on_source_side(size_t node) const;

 private:
  struct Edge {
    size_t to;
    int64_t left;
  };
  void add_edge(size_t from, size_t to, int64_t cost);
  bool find_levels();
  int64_t push(size_t node, int64_t limit);

  size_t source_ = 0, sink_ = 1;
  std::vector<Edge> edges_;                   // an edge and its reverse
  std::vector<std::vector<size_t>> leaving_;  // edges of each node
  std::vector<int> level_;
  std::vector<size_t> next_;
};

}  // namespace lathe::quantize
