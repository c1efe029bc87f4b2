#include <algorithm>

#include "passes/ir/axis_links.h"

namespace lathe::ir {

Slot SlotTable::fresh() {
  terms_.emplace_back();
  return static_cast<Slot>(terms_.size() - 1);
}

Slot SlotTable::conjunction(std::vector<Slot> slots) {
  if (slots.size() == 1) return slots[0];
  for (Slot& slot : slots) slot = find(slot);
  const auto [found, made] = conjunctions_.try_emplace(slots, -1);
  if (made) {
    found->second = fresh();
    terms_[found->second].factors = std::move(slots);
  }
  return found->second;
}

Slot SlotTable::find(Slot slot) const {
  while (terms_[slot].parent >= 0) {
    Slot& parent = terms_[slot].parent;
    if (terms_[parent].parent >= 0) parent = terms_[parent].parent;
    slot = parent;
  }
  return slot;
}

void SlotTable::collect(Slot slot, std::vector<Slot>& units) const {
  slot = find(slot);
  if (terms_[slot].factors.empty()) {
    if (std::ranges::find(units, slot) == units.end()) units.push_back(slot);
    return;
  }
  for (const Slot factor : terms_[slot].factors) collect(factor, units);
}

std::vector<Slot> SlotTable::units(Slot slot) const {
  std::vector<Slot> units;
  collect(slot, units);
  return units;
}

void SlotTable::merge(Slot a, Slot b) {
  a = find(a);
  b = find(b);
  if (a == b) return;
  Term &from = terms_[a], &to = terms_[b];
  from.parent = b;
  if (to.reason < 0) to.reason = from.reason;
  to.rescaling = to.rescaling || from.rescaling;
}

void SlotTable::unify(Slot a, Slot b) {
  a = find(a);
  b = find(b);
  if (a == b) return;
  std::vector<Slot> left = units(a), right = units(b);
  if (left == right) return;
  if (left.size() > 1 && right.size() == 1) {
    std::swap(a, b);
    std::swap(left, right);
  }
  // An unknown becomes a conjunction that it is no part of.
  if (left.size() == 1 && right.size() > 1 &&
      std::ranges::find(right, left[0]) == right.end()) {
    const Term unknown = terms_[left[0]];
    terms_[left[0]].parent = b;
    for (const Slot unit : right) {
      if (terms_[unit].reason < 0) terms_[unit].reason = unknown.reason;
      terms_[unit].rescaling = terms_[unit].rescaling || unknown.rescaling;
    }
    return;
  }
  const size_t most = std::max(left.size(), right.size());
  for (size_t i = 0; i < most; ++i)
    merge(left[std::min(i, left.size() - 1)],
          right[std::min(i, right.size() - 1)]);
}

void SlotTable::fix(Slot slot, const std::string& reason) {
  int32_t index = -1;
  for (const Slot unit : units(slot)) {
    if (terms_[unit].reason >= 0) continue;
    if (index < 0) {
      if (reasons_.empty() || reasons_.back() != reason)
        reasons_.push_back(reason);
      index = static_cast<int32_t>(reasons_.size()) - 1;
    }
    terms_[unit].reason = index;
  }
}

void SlotTable::mark_rescaling(Slot slot) {
  for (const Slot unit : units(slot)) terms_[unit].rescaling = true;
}

const std::string* SlotTable::fixed(Slot unit) const {
  const int32_t reason = terms_[find(unit)].reason;
  return reason < 0 ? nullptr : &reasons_[reason];
}

bool SlotTable::rescaling(Slot unit) const {
  return terms_[find(unit)].rescaling;
}

}  // namespace lathe::ir
