// Lists of items, one after another in one piece of memory, which an op can hand on to another.
#ifndef TTFS_KERAS_LISTS_H_
#define TTFS_KERAS_LISTS_H_

#include <cstdint>
#include <cstring>
#include <functional>
#include <utility>

namespace bats {

// Gives that many bytes, aligned for any type, or null.
using Allocate = std::function<void*(int64_t bytes)>;

template <class Item>
struct List {
  const Item *first, *last;
  const Item* begin() const { return first; }
  const Item* end() const { return last; }
  int64_t size() const { return last - first; }
  const Item& operator[](int64_t index) const { return first[index]; }
};

// The memory says where each list starts and where the last one ends, and then come the items.
template <class Item>
class Lists {
 public:
  Lists(int64_t count, const void* memory)
      : count_(count), starts_(static_cast<const int64_t*>(memory)),
        items_(reinterpret_cast<const Item*>(starts_ + count + 1)) {}

  // Whether memory holds so many lists.
  static bool fit(int64_t count, const void* memory, int64_t bytes) {
    const int64_t before = (count + 1) * int64_t(sizeof(int64_t)), *starts = static_cast<const int64_t*>(memory);
    if (bytes < before || starts[0] != 0) return false;
    for (int64_t i = 0; i < count; ++i)
      if (starts[i] > starts[i + 1]) return false;
    const int64_t size = sizeof(Item), items = bytes - before;
    return items % size == 0 && items / size == starts[count];
  }

  // Memory for lists that start at `starts`, the last of which is where the last list ends, and the place for their
  // items; two nulls if there is none.
  static std::pair<void*, Item*> room(const int64_t* starts, int64_t count, const Allocate& allocate) {
    const int64_t before = (count + 1) * int64_t(sizeof(int64_t));
    char* memory = static_cast<char*>(allocate(before + starts[count] * int64_t(sizeof(Item))));
    if (!memory) return {nullptr, nullptr};
    std::memcpy(memory, starts, before);
    return {memory, reinterpret_cast<Item*>(memory + before)};
  }

  List<Item> operator[](int64_t index) const { return {items_ + starts_[index], items_ + starts_[index + 1]}; }
  int64_t total() const { return starts_[count_]; }
  const int64_t* starts() const { return starts_; }
  const Item* items() const { return items_; }

 private:
  int64_t count_;
  const int64_t* starts_;
  const Item* items_;
};

}  // namespace bats

#endif  // TTFS_KERAS_LISTS_H_
