#include "passes/quantize/min_cut.h"

#include <algorithm>
#include <limits>

namespace lathe::quantize {

MinCut::MinCut(size_t nodes) : leaving_(nodes + 2) {
  source_ = nodes;
  sink_ = nodes + 1;
}

size_t MinCut::add_node() {
  leaving_.emplace_back();
  return leaving_.size() - 1;
}

void MinCut::add_edge(size_t from, size_t to, int64_t cost) {
  if (cost <= 0) return;
  leaving_[from].push_back(edges_.size());
  edges_.push_back({to, cost});
  leaving_[to].push_back(edges_.size());
  edges_.push_back({from, 0});
}

bool MinCut::find_levels() {
  level_.assign(leaving_.size(), -1);
  level_[source_] = 0;
  std::vector<size_t> queue{source_};
  for (size_t i = 0; i < queue.size(); ++i)
    for (size_t edge : leaving_[queue[i]]) {
      const size_t to = edges_[edge].to;
      if (edges_[edge].left <= 0 || level_[to] >= 0) continue;
      level_[to] = level_[queue[i]] + 1;
      queue.push_back(to);
    }
  return level_[sink_] >= 0;
}

int64_t MinCut::push(size_t node, int64_t limit) {
  if (node == sink_) return limit;
  for (size_t& i = next_[node]; i < leaving_[node].size(); ++i) {
    const size_t edge = leaving_[node][i];
    const size_t to = edges_[edge].to;
    if (edges_[edge].left <= 0 || level_[to] != level_[node] + 1) continue;
    const int64_t pushed = push(to, std::min(limit, edges_[edge].left));
    if (pushed == 0) continue;
    edges_[edge].left -= pushed;
    edges_[edge ^ 1].left += pushed;
    return pushed;
  }
  return 0;
}

int64_t MinCut::solve() {
  int64_t total = 0;
  while (find_levels()) {
    next_.assign(leaving_.size(), 0);
    while (const int64_t pushed =
               push(source_, std::numeric_limits<int64_t>::max()))
      total += pushed;
  }
  return total;  // find_levels() has left the source's side in level_
}

bool MinCut::on_source_side(size_t node) const { return level_[node] >= 0; }

}  // namespace lathe::quantize
