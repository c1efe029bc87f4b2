#include "calibration/data/procedural.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "passes/base/random.h"

namespace lathe::data {
namespace {

struct Point {
  float x, y;
};

float box(Point p, float half_width, float half_height) {
  return std::max(std::fabs(p.x) - half_width, std::fabs(p.y) - half_height);
}

float disc(Point p, float radius) { return std::hypot(p.x, p.y) - radius; }

// Equilateral, pointing up, of circumradius `radius`.
float triangle(Point p, float radius) {
  float left = 0.8660254f * p.x - 0.5f * p.y;
  float right = -0.8660254f * p.x - 0.5f * p.y;
  return std::max({left, right, p.y}) - 0.5f * radius;
}

float stripes(float at, float period) {
  float phase = at / period - std::floor(at / period);
  return (std::fabs(phase - 0.5f) - 0.25f) * period;
}

// Signed distance (about) to shape `label` of unit size: negative inside.
using Shape = float (*)(Point);
struct Class {
  const char* name;
  Shape distance;
};

constexpr std::array<Class, kProceduralClasses> kClasses = {{
    {"disc", [](Point p) { return disc(p, 0.85f); }},
    {"ring", [](Point p) { return std::fabs(disc(p, 0.7f)) - 0.2f; }},
    {"square", [](Point p) { return box(p, 0.75f, 0.75f); }},
    {"frame", [](Point p) { return std::fabs(box(p, 0.65f, 0.65f)) - 0.18f; }},
    {"triangle", [](Point p) { return triangle(p, 1.0f); }},
    {"plus",
     [](Point p) {
       return std::min(box(p, 0.9f, 0.25f), box(p, 0.25f, 0.9f));
     }},
    {"cross",
     [](Point p) {
       Point q{0.7071068f * (p.x + p.y), 0.7071068f * (p.x - p.y)};
       return std::max(box(p, 0.8f, 0.8f),
                       std::min(std::fabs(q.x), std::fabs(q.y)) - 0.17f);
     }},
    {"crescent",
     [](Point p) {
       return std::max(disc(p, 0.9f), -disc({p.x - 0.45f, p.y}, 0.75f));
     }},
    {"bars",
     [](Point p) { return std::max(box(p, 0.9f, 0.9f), stripes(p.x, 0.6f)); }},
    {"checks",
     [](Point p) {
       float a = stripes(p.x, 0.9f), b = stripes(p.y, 0.9f);
       // Inside where exactly one of the two stripes is.
       return std::max(box(p, 0.9f, 0.9f),
                       std::max(std::min(a, b), -std::max(a, b)));
     }},
}};

using Colour = std::array<float, 3>;

Colour random_colour(Random& random) {
  return {static_cast<float>(random.uniform()),
          static_cast<float>(random.uniform()),
          static_cast<float>(random.uniform())};
}

float distance(const Colour& a, const Colour& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

// A colour that stands out from `other`.
Colour contrasting_colour(const Colour& other, Random& random) {
  Colour best = random_colour(random);
  for (int i = 0; i < 4 && distance(best, other) < 0.45f; ++i) {
    Colour next = random_colour(random);
    if (distance(next, other) > distance(best, other)) best = next;
  }
  return best;
}

}  // namespace

const std::vector<std::string>& procedural_class_names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Class& c : kClasses) names.emplace_back(c.name);
    return names;
  }();
  return kNames;
}

ProceduralImage render_procedural(uint64_t seed, int64_t index) {
  Random random(derive_seed(seed, "procedural " + std::to_string(index)));
  ProceduralImage image;
  image.label = index % kProceduralClasses;
  const Shape shape = kClasses[static_cast<size_t>(image.label)].distance;
  constexpr int kSize = kProceduralSize;

  Colour near = random_colour(random), far = random_colour(random);
  Colour middle = {(near[0] + far[0]) / 2, (near[1] + far[1]) / 2,
                   (near[2] + far[2]) / 2};
  Colour ink = contrasting_colour(middle, random);
  float radius = static_cast<float>(random.uniform(6.0, 13.0));
  float centre_x = static_cast<float>(random.uniform(11.0, kSize - 11.0));
  float centre_y = static_cast<float>(random.uniform(11.0, kSize - 11.0));
  float angle = static_cast<float>(random.uniform(-0.5, 0.5));
  float slope = static_cast<float>(random.uniform(0.0, 2.0 * std::numbers::pi));
  float noise = static_cast<float>(random.uniform(0.03, 0.12));
  float sine = std::sin(angle), cosine = std::cos(angle);

  // Clutter: small discs that belong to no class.
  struct Dot {
    float x, y, radius;
    Colour colour;
  };
  std::vector<Dot> dots(random.below(4));
  for (Dot& dot : dots)
    dot = {static_cast<float>(random.uniform(0.0, kSize)),
           static_cast<float>(random.uniform(0.0, kSize)),
           static_cast<float>(random.uniform(1.0, 2.5)), random_colour(random)};

  image.pixels.resize(3 * kSize * kSize);
  for (int y = 0; y < kSize; ++y) {
    for (int x = 0; x < kSize; ++x) {
      float ramp =
          0.5f + ((static_cast<float>(x) - kSize / 2) * std::cos(slope) +
                  (static_cast<float>(y) - kSize / 2) * std::sin(slope)) /
                     (1.5f * kSize);
      ramp = std::clamp(ramp, 0.0f, 1.0f);
      Colour colour;
      for (int c = 0; c < 3; ++c)
        colour[c] = near[c] + ramp * (far[c] - near[c]);
      auto blend = [&](const Colour& over, float edge_pixels) {
        float alpha = std::clamp(0.5f - edge_pixels, 0.0f, 1.0f);
        for (int c = 0; c < 3; ++c) colour[c] += alpha * (over[c] - colour[c]);
      };
      float dx = static_cast<float>(x) - centre_x;
      float dy = static_cast<float>(y) - centre_y;
      Point p{(cosine * dx + sine * dy) / radius,
              (-sine * dx + cosine * dy) / radius};
      blend(ink, shape(p) * radius);
      for (const Dot& dot : dots)
        blend(dot.colour, std::hypot(static_cast<float>(x) - dot.x,
                                     static_cast<float>(y) - dot.y) -
                              dot.radius);
      for (int c = 0; c < 3; ++c) {
        float value = colour[c] + noise * static_cast<float>(random.normal());
        image.pixels[static_cast<size_t>((c * kSize + y) * kSize + x)] =
            (std::clamp(value, 0.0f, 1.0f) - 0.5f) / 0.25f;
      }
    }
  }
  return image;
}

}  // namespace lathe::data
