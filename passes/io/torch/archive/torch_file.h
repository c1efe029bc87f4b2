// What a PyTorch file is, by what it holds.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "passes/io/torch/archive/pickle.h"
#include "passes/io/torch/archive/zip_archive.h"
#include "passes/ir/tensor.h"

namespace lathe::io {

enum class TorchFileKind { kTorchScript, kExportedProgram };

// Looks at the entries of the archive, or the first pickle of an older
// torch.save file. Errors kInput for what is no program: a state_dict, a
// pickled nn.Module (naming its class), a checkpoint (a dict that holds a
// state_dict), a single tensor, a TorchScript file for the lite interpreter,
// a damaged file. The first two come with the three lines of Python that
// export the model.
TorchFileKind identify_torch_file(const std::filesystem::path& path);

// Throws before LibTorch gets to see a file that could harm it: every pickle
// in the archive must read as data with TorchScript's own classes, every
// storage it names must be there and large enough, every tensor must lie
// inside its storage, and the source files must not nest deeper than 200.
void check_torchscript_archive(const ZipArchive& archive);

// A tensor out of an archive, contiguous. `folder` holds the storages
// ("data/"). Shares the archive's bytes where it is contiguous. Errors kInput:
// storage missing or shorter than the pickle says, sizes and strides that
// reach outside it, unknown storage type.
ir::Tensor load_tensor(const ZipArchive& archive, const std::string& folder,
                       const PickledTensor& tensor, const std::string& name);

// A contiguous tensor out of storage bytes. `offset` and `strides` count
// elements. Errors as load_tensor.
ir::Tensor tensor_from_storage(const ir::Bytes& storage, ir::DataType type,
                               int64_t offset,
                               const std::vector<int64_t>& sizes,
                               const std::vector<int64_t>& strides,
                               const std::string& where);

// A torch.save archive with a dict of tensors (a state_dict): name -> tensor.
std::map<std::string, ir::Tensor> load_tensor_dict(const ZipArchive& archive);

}  // namespace lathe::io
