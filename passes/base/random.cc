#include "passes/base/random.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace lathe {
namespace {

// splitmix64 by Vigna: the recommended seeder of the xoshiro family.
uint64_t splitmix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

uint64_t derive_seed(uint64_t seed, std::string_view use) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a, 64 bits
  for (const char c : use) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  uint64_t state = splitmix64(seed) ^ hash;
  return splitmix64(state);
}

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) word = splitmix64(seed);
}

uint64_t Random::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::below(uint64_t bound) {
  // The lowest 2^64 mod bound numbers would make small results likelier.
  const uint64_t rejected = (0 - bound) % bound;
  uint64_t value;
  do {
    value = next();
  } while (value < rejected);
  return value % bound;
}

double Random::uniform() {
  return static_cast<double>(next() >> 11) * 0x1.0p-53;
}

double Random::uniform(double low, double high) {
  return low + (high - low) * uniform();
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

}  // namespace lathe
