// Which files a run read, with their hashes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "recipes/recipe.h"
#include "recipes/report.h"

namespace lathe::recipes {

FileRecord record_file(const std::string& role,
                       const std::filesystem::path& path);

// The model, its external data, descriptors, data files and plans, in that
// order; each folder's files sorted by name.
std::vector<FileRecord> record_inputs(const Recipe& recipe);

// The paths of files in the model's folder that its external tensors name,
// sorted.
std::vector<std::filesystem::path> external_data_files(
    const std::filesystem::path& model);

// The variants an earlier run's manifest.json in `folder` lists: file names in
// variants/. Empty where there is none or it is not one of ours.
std::vector<std::string> earlier_variants(const std::filesystem::path& folder);

}  // namespace lathe::recipes
