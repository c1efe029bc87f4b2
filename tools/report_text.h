// A run's report as text for a terminal.
#pragma once

#include <filesystem>
#include <string>

#include "recipes/report.h"

namespace lathe::cli {

// The stages as a table; variants, what was not delivered, gates and notes;
// where the report is.
std::string report_text(const recipes::Report& report,
                        const std::filesystem::path& folder);

// For a run that wrote one file: what was done to it, in brief.
std::string file_text(const recipes::Report& report,
                      const std::filesystem::path& file);

}  // namespace lathe::cli
