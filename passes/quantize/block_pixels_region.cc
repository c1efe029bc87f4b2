#include "passes/quantize/block_pixels_region.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include "passes/affine.h"

namespace lathe::quantize {
namespace {

bool plain(const Cell* cell) { return !cell->obstacle.empty(); }

void keep_plain(Cell* cell, std::string reason, const Cell* cause) {
  cell->obstacle = std::move(reason);
  cell->cause = cause;
}

// Returns whether something changed.
bool spread_obstacles(const Step& step) {
  Cell* output = step.output;
  if (step.kind == StepKind::kElementwise) {
    std::vector<Cell*> all = step.inputs;
    all.push_back(output);
    auto cause = std::ranges::find_if(all, plain);
    bool changed = false;
    if (cause != all.end())
      for (Cell* cell : all)
        if (!plain(cell)) {
          keep_plain(cell, "it is added to what stays as it is", *cause);
          changed = true;
        }
    return changed;
  }
  Cell* input = step.inputs[0];
  if (plain(input) || !plain(output) || step.kind == StepKind::kMaxPool)
    return false;
  const int64_t strides[] = {step.rows.stride, step.columns.stride};
  if (strides[0] % 2 == 0 && strides[1] % 2 == 0) return false;
  if (std::ranges::count(strides, 1) > 0)
    keep_plain(input, "its reader's result stays as it is", output);
  else
    keep_plain(input,
               "its result is read by " + step.node->label() +
                   " at a stride that blocks cannot say",
               nullptr);
  return true;
}

// Sets of cells whose shifts differ by known amounts, on one axis. Cell 0 is
// "no shift".
class Shifts {
 public:
  explicit Shifts(size_t cells) : parents_(cells), parities_(cells, 0) {
    std::iota(parents_.begin(), parents_.end(), size_t{0});
  }

  // The set and the cell's shift against the set's first.
  std::pair<size_t, int> find(size_t cell) const {
    int parity = 0;
    while (parents_[cell] != cell) {
      parity ^= parities_[cell];
      cell = parents_[cell];
    }
    return {cell, parity};
  }

  // False where it contradicts.
  bool join(size_t a, size_t b, int difference) {
    const auto [root_a, parity_a] = find(a);
    const auto [root_b, parity_b] = find(b);
    const int parity = parity_a ^ parity_b ^ difference;
    if (root_a == root_b) return parity == 0;
    // The smaller stays the root, so that 0 does.
    const size_t root = std::min(root_a, root_b);
    const size_t other = std::max(root_a, root_b);
    parents_[other] = root;
    parities_[other] = parity;
    return true;
  }

 private:
  std::vector<size_t> parents_;
  std::vector<int> parities_;
};

class Placer {
 public:
  explicit Placer(Region& region) : region_(region) {
    for (size_t i = 0; i < region.cells.size(); ++i)
      numbers_[region.cells[i]] = i + 1;
  }

  // False where no shifts fit.
  bool place() {
    std::array<std::vector<int64_t>, 2> shifts;
    for (size_t axis : {0, 1}) {
      auto found = place_axis(axis);
      if (found.empty()) return false;
      shifts[axis] = std::move(found);
    }
    for (const Cell* cell : region_.cells) {
      const size_t i = numbers_.at(cell);
      region_.layouts[cell] = {{2, shifts[0][i]}, {2, shifts[1][i]}};
    }
    return true;
  }

 private:
  size_t number(const Cell* cell) const {
    auto found = numbers_.find(cell);
    return found == numbers_.end() ? 0 : found->second;
  }

  std::vector<int64_t> place_axis(size_t axis) const {
    Shifts shifts(region_.cells.size() + 1);
    for (const Step* step : region_.steps) {
      const size_t input = number(step->inputs[0]),
                   output = number(step->output);
      const Window& window = axis == 0 ? step->rows : step->columns;
      bool fits = true;
      if (step->kind == StepKind::kMaxPool)
        fits = shifts.join(0, input, 0);
      else if (step->kind == StepKind::kElementwise)
        for (const Cell* cell : step->inputs)
          fits = shifts.join(number(cell), output, 0) && fits;
      else if (input && output && window.stride == 1)
        fits = shifts.join(input, output, static_cast<int>(window.pad & 1));
      if (!fits) return {};
    }
    return cheapest(shifts);
  }

  // Fills in what is free: masks cost by the element, twice where zero's code
  // is not the lowest one.
  std::vector<int64_t> cheapest(const Shifts& shifts) const {
    std::map<size_t, std::array<double, 2>> costs;
    for (const Cell* cell : region_.cells) {
      const bool read = std::ranges::any_of(
          cell->readers, [](const Step* step) { return step->has_window(); });
      if (!read) continue;
      const auto [root, parity] = shifts.find(numbers_.at(cell));
      const bool lowest =
          cell->zero_point == code_range(cell->codes->type.elem).low;
      costs[root][1 - parity] += static_cast<double>(
          cell->channels * cell->height * cell->width * (lowest ? 1 : 2));
    }
    std::vector<int64_t> result(region_.cells.size() + 1, 0);
    for (size_t i = 1; i < result.size(); ++i) {
      const auto [root, parity] = shifts.find(i);
      int first = 0;
      if (auto found = costs.find(root); root != 0 && found != costs.end())
        first = found->second[1] < found->second[0] ? 1 : 0;
      result[i] = parity ^ first;
    }
    return result;
  }

  Region& region_;
  std::map<const Cell*, size_t> numbers_;
};

// The cells that may be blocked, in sets that steps with blocks on both sides
// hold together.
std::vector<Region> connect(const Steps& steps) {
  std::map<const Cell*, size_t> group;
  for (const auto& cell : steps.cells())
    if (!plain(cell.get())) group.emplace(cell.get(), group.size());
  Shifts sets(group.size());
  for (const auto& step : steps.steps()) {
    if (plain(step->output)) continue;
    for (const Cell* input : step->inputs)
      if (!plain(input)) sets.join(group.at(input), group.at(step->output), 0);
  }
  std::map<size_t, size_t> numbers;
  std::vector<Region> regions;
  const auto region_of = [&](const Cell* cell) -> Region& {
    const size_t root = sets.find(group.at(cell)).first;
    auto [entry, added] = numbers.emplace(root, regions.size());
    if (added) regions.emplace_back();
    return regions[entry->second];
  };
  for (const auto& cell : steps.cells())
    if (!plain(cell.get())) region_of(cell.get()).cells.push_back(cell.get());
  for (const auto& step : steps.steps()) {
    const Cell* cell = plain(step->output) ? step->inputs[0] : step->output;
    if (!plain(cell)) region_of(cell).steps.push_back(step.get());
  }
  return regions;
}

// Sums of zeros are zero; results of other steps are not, outside the image.
void choose_masks(Region& region) {
  std::set<const Cell*> zero;  // outside the image
  for (const Cell* cell : region.cells) {
    if (!region.layout(cell).shifted()) continue;
    const Step& producer = *cell->producer;
    const bool by_itself =
        producer.kind == StepKind::kElementwise &&
        std::ranges::all_of(producer.inputs, [&](const Cell* input) {
          return zero.contains(input);
        });
    const bool read = std::ranges::any_of(
        cell->readers, [](const Step* step) { return step->has_window(); });
    if (!by_itself && !read) continue;
    zero.insert(cell);
    if (!by_itself) region.masked.insert(cell);
  }
}

}  // namespace

std::vector<Region> find_regions(const Steps& steps) {
  for (bool changed = true; changed;) {
    changed = false;
    for (auto step = steps.steps().rbegin(); step != steps.steps().rend();
         ++step)
      changed = spread_obstacles(**step) || changed;
  }
  std::vector<Region> regions;
  for (Region& region : connect(steps)) {
    if (Placer(region).place()) {
      choose_masks(region);
      regions.push_back(std::move(region));
      continue;
    }
    for (Cell* cell : region.cells)
      keep_plain(cell,
                 "a shortcut near it passes an odd number of convolutions "
                 "that shift blocks",
                 nullptr);
  }
  return regions;
}

}  // namespace lathe::quantize
