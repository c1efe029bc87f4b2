#include "passes/quantize/min_cut.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "passes/base/random.h"

namespace lathe::quantize::test {
namespace {

// A chain of `n` nodes with unary costs and borders in both directions.
struct Chain {
  std::vector<int64_t> source, sink, forward, backward;

  int64_t cost(unsigned labels) const {
    int64_t total = 0;
    for (size_t i = 0; i < source.size(); ++i) {
      const bool on = labels >> i & 1;
      total += on ? source[i] : sink[i];
      if (i + 1 == source.size()) break;
      const bool next = labels >> (i + 1) & 1;
      if (on && !next) total += forward[i];
      if (!on && next) total += backward[i];
    }
    return total;
  }
};

Chain drawn_chain(Random& random, size_t n) {
  Chain chain;
  const auto draw = [&] { return static_cast<int64_t>(random.below(20)); };
  for (size_t i = 0; i < n; ++i) {
    chain.source.push_back(draw());
    chain.sink.push_back(draw());
    chain.forward.push_back(draw());
    chain.backward.push_back(draw());
  }
  return chain;
}

TEST_CASE("min_cut: the least of all labellings of random chains") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    constexpr size_t kNodes = 9;
    const Chain chain = drawn_chain(random, kNodes);
    MinCut cut(kNodes);
    for (size_t i = 0; i < kNodes; ++i) {
      cut.at_source(i, chain.source[i]);
      cut.at_sink(i, chain.sink[i]);
      if (i + 1 == kNodes) break;
      cut.between(i, i + 1, chain.forward[i]);
      cut.between(i + 1, i, chain.backward[i]);
    }
    int64_t least = chain.cost(0);
    for (unsigned labels = 0; labels < 1u << kNodes; ++labels)
      least = std::min(least, chain.cost(labels));
    CHECK(cut.solve() == least);
    unsigned found = 0;
    for (size_t i = 0; i < kNodes; ++i)
      if (cut.on_source_side(i)) found |= 1u << i;
    CHECK(chain.cost(found) == least);
  }
}

TEST_CASE("min_cut: added nodes and forbidden sides") {
  MinCut cut(2);
  const size_t extra = cut.add_node();
  cut.at_source(0, 5);
  cut.at_sink(0, MinCut::kNever);
  cut.between(0, extra, MinCut::kNever);  // goes with the first
  cut.between(extra, 1, 3);
  cut.at_source(1, 4);
  CHECK(cut.solve() == 8);
  CHECK(cut.on_source_side(0));
  CHECK(cut.on_source_side(extra));
  CHECK_FALSE(cut.on_source_side(1));
}

}  // namespace
}  // namespace lathe::quantize::test
