// Runs a fuzz target without libFuzzer: fuzz_NAME CORPUS [MUTATIONS [SEED]]. First every file of
// the folder CORPUS as it is, then MUTATIONS (20,000) inputs made from them by chance, the same
// ones for the same seed. When one of them fails, its octets are printed in hex; CORPUS may also be
// a file.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include "tests/fuzz/fuzz.h"

// Set when a sanitizer is linked in: those end the process without a signal.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using Inputs = std::vector<std::string>;

constexpr std::size_t kInputOctetsMax = 64 * 1024;

const std::string* running = nullptr;

void print_running() {
  if (running == nullptr) return;
  constexpr char kHex[] = "0123456789abcdef";
  const std::string* input = std::exchange(running, nullptr);
  std::string text =
      "input in hex: ";  // memory is taken in a signal handler: the process ends here
  for (const char c : *input) {
    text += kHex[static_cast<unsigned char>(c) >> 4];
    text += kHex[static_cast<unsigned char>(c) & 15];
  }
  text += '\n';
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

void on_signal(int number) {
  print_running();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void run(const std::string& input) {
  running = &input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  running = nullptr;
}

Inputs read_corpus(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> names;
  if (std::filesystem::is_regular_file(path)) {
    names.push_back(path);
  } else if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) names.push_back(entry.path());
    }
  }
  std::sort(names.begin(), names.end());  // the order of a folder differs between machines
  Inputs inputs;
  for (const auto& name : names) {
    std::ifstream stream(name, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return inputs;
}

class Mutator {
 public:
  Mutator(const Inputs& inputs, std::uint64_t seed) : inputs_(inputs), engine_(seed) {}

  std::string next() {
    std::string input = inputs_[below(inputs_.size())];
    for (std::size_t steps = 1 + below(4); steps > 0; --steps) change(input);
    if (input.size() > kInputOctetsMax) input.resize(kInputOctetsMax);
    return input;
  }

 private:
  // Uniform enough, and the same on every machine, which the standard distributions are not.
  std::size_t below(std::size_t below) { return engine_() % below; }

  void change(std::string& input) {
    constexpr std::array<char, 16> kTelling = {'\r', '\n', '\0', ' ', '\t', '.', '<',    '>',
                                               '"',  '\\', ':',  ';', '@',  '-', '\x7f', '\xff'};
    const std::size_t at = below(input.size() + 1);
    switch (below(7)) {
      case 0:
        input.insert(at, 1, kTelling[below(kTelling.size())]);
        break;
      case 1:
        input.insert(at, 1, static_cast<char>(below(256)));
        break;
      case 2:
        if (at < input.size()) input[at] = kTelling[below(kTelling.size())];
        break;
      case 3:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 4:
        input.erase(at, 1 + below(16));
        break;
      case 5: {
        const std::string part = input.substr(at, 1 + below(64));
        input.insert(below(input.size() + 1), part);
        break;
      }
      default: {
        const std::string& other = inputs_[below(inputs_.size())];
        input.replace(at, std::string::npos, other.substr(below(other.size() + 1)));
        break;
      }
    }
  }

  const Inputs& inputs_;
  std::mt19937_64 engine_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: " << argv[0] << " CORPUS [MUTATIONS [SEED]]\n";
    return 2;
  }
  const Inputs inputs = read_corpus(argv[1]);
  if (inputs.empty()) {
    std::cerr << argv[1] << ": there is no corpus\n";
    return 1;
  }
  const std::uint64_t mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 20'000;
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 1;
  std::signal(SIGABRT, on_signal);
  std::signal(SIGSEGV, on_signal);
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(print_running);
  for (const std::string& input : inputs) run(input);
  Mutator mutator(inputs, seed);
  for (std::uint64_t i = 0; i < mutations; ++i) run(mutator.next());
  std::cout << inputs.size() << " files and " << mutations << " mutations, seed " << seed << '\n';
  return 0;
}
