// Which class each file of a set belongs to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"

namespace lathe::data {

struct LabelledFiles {
  FileSet files;
  std::vector<int64_t> labels;  // one a file; empty when there are none
  int64_t classes = 0;          // distinct ones
};

// By the descriptor's "labels":
//   folder       the folder that holds the file; classes sorted by name. All
//                files in one folder and no list of classes: no labels.
//   name-prefix  the file's name up to the first '_' (or its extension).
//   csv          the listed files in the list's order; others are left out.
//   none         no labels.
// Names that are all integers are taken as they are (not for folders); other
// names are numbered in sorted order, or in that of labels.classes. Errors:
// kInput with the file or line.
LabelledFiles label_files(FileSet files, const Descriptor& descriptor);

}  // namespace lathe::data
