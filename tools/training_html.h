// The curves of a training run as a page.
#pragma once

#include <string>

#include "recipes/report.h"

namespace lathe::cli {

// One chart of losses, one of shares that are right, one of the rate, for each
// stage that trained. Empty where none did.
std::string training_html(const recipes::Report& report);

}  // namespace lathe::cli
