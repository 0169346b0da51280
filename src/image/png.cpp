// libpng. As in Pillow: palettes are looked up and grey is widened here, transparency is dropped,
// colour profiles and gamma are left alone, of 16-bit colour the high byte is kept, and 16-bit grey
// is clipped at 255.
//
// libpng reports errors by longjmp; see jpeg.cpp for how `guarded` keeps that away from C++
// objects. One difference from Pillow: a file without its last chunk (IEND) is refused even if all
// its pixels are there, because its metadata may be missing.
#include <png.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <csetjmp>
#include <cstring>
#include <string>

#include "caprl/core/error.h"
#include "codecs.h"
#include "exif.h"
#include "make_image.h"

namespace caprl {
namespace {

constexpr png_alloc_size_t kMaxChunkBytes = 64 << 20;  // decompressed text and unknown chunks

struct PngReader {
  std::span<const std::byte> rest;  // not yet read
  bool truncated = false;
  char message[256] = {};
  png_structp png = nullptr;
  png_infop info = nullptr;

  explicit PngReader(const EncodedImage& file) : rest(file.bytes) {}
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::strncpy(reader->message, message, sizeof reader->message - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}  // Pillow is silent about these too

void read_bytes(png_structp png, png_bytep to, size_t size) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (size > reader->rest.size()) {
    reader->truncated = true;
    png_error(png, "the data end too early");
  }
  std::memcpy(to, reader->rest.data(), size);
  reader->rest = reader->rest.subspan(size);
}

template <class Step>
bool guarded(PngReader& reader, Step step) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  step();
  return true;
}

template <class Step>
void run(const EncodedImage& file, PngReader& reader, Step step) {
  if (!guarded(reader, step))
    throw InputError("{}: {} PNG: {}", file.name, reader.truncated ? "truncated" : "corrupt",
                     reader.message);
}

struct PngLayout {
  png_uint_32 width = 0, height = 0;
  int depth = 0, color = 0;
  int passes = 1;

  /// Bytes of one pixel as libpng hands it over.
  int64_t pixel_bytes() const {
    if (color == PNG_COLOR_TYPE_GRAY && depth == 16) return 2;
    switch (color) {
      case PNG_COLOR_TYPE_GRAY_ALPHA:
        return 2;
      case PNG_COLOR_TYPE_RGB:
        return 3;
      case PNG_COLOR_TYPE_RGB_ALPHA:
        return 4;
      default:
        return 1;  // grey, palette index
    }
  }
};

PngLayout read_header(const EncodedImage& file, PngReader& reader) {
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw Error("{}: libpng could not be set up", file.name);
  PngLayout layout;
  run(file, reader, [&] {
    png_set_read_fn(reader.png, &reader, read_bytes);
    png_set_user_limits(reader.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size is the limit
    png_set_chunk_malloc_max(reader.png, kMaxChunkBytes);
    png_read_info(reader.png, reader.info);
    png_get_IHDR(reader.png, reader.info, &layout.width, &layout.height, &layout.depth,
                 &layout.color, nullptr, nullptr, nullptr);
  });
  check_size(file, layout.width, layout.height);
  run(file, reader, [&] {
    if (layout.color == PNG_COLOR_TYPE_GRAY && layout.depth < 8)
      png_set_expand_gray_1_2_4_to_8(reader.png);
    if (layout.color == PNG_COLOR_TYPE_PALETTE) png_set_packing(reader.png);
    if (layout.color != PNG_COLOR_TYPE_GRAY && layout.depth == 16) png_set_strip_16(reader.png);
    layout.passes = png_set_interlace_handling(reader.png);
    png_read_update_info(reader.png, reader.info);
  });
  if (png_get_rowbytes(reader.png, reader.info) !=
      static_cast<size_t>(layout.pixel_bytes() * layout.width))
    throw Error("{}: libpng gives {} bytes for a row of {} pixels", file.name,
                png_get_rowbytes(reader.png, reader.info), layout.width);
  return layout;
}

using Palette = std::array<std::array<uint8_t, 3>, 256>;

/// Entries that the file does not define are black, as in Pillow.
Palette read_palette(const PngReader& reader) {
  Palette palette = {};
  png_colorp colors = nullptr;
  int count = 0;
  if (png_get_PLTE(reader.png, reader.info, &colors, &count) != 0)
    for (int i = 0; i < count; ++i) palette[i] = {colors[i].red, colors[i].green, colors[i].blue};
  return palette;
}

void row_to_rgb(const PngLayout& layout, const Palette& palette, const uint8_t* from, uint8_t* to) {
  const int64_t step = layout.pixel_bytes();
  for (png_uint_32 x = 0; x < layout.width; ++x, from += step, to += 3) {
    if (layout.color == PNG_COLOR_TYPE_PALETTE) {
      std::memcpy(to, palette[from[0]].data(), 3);
    } else if ((layout.color & PNG_COLOR_MASK_COLOR) != 0) {
      std::memcpy(to, from, 3);
    } else {
      const bool clips = layout.color == PNG_COLOR_TYPE_GRAY && layout.depth == 16;
      const uint8_t grey = !clips ? from[0] : from[0] != 0 ? 255 : from[1];
      to[0] = to[1] = to[2] = grey;
    }
  }
}

/// Content of ImageMagick's "Raw profile type exif": three lines, then hexadecimal digits. Empty
/// where it is malformed.
std::string raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    if (c == '\n') continue;
    const size_t digit =
        kDigits.find(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    if (digit == std::string_view::npos) return "";
    if (high >= 0) bytes += static_cast<char>(high << 4 | static_cast<int>(digit));
    high = high >= 0 ? -1 : static_cast<int>(digit);
  }
  return bytes;
}

/// Metadata may come after the pixels, so this is for a file read to its end.
int orientation_of(const PngReader& reader) {
  std::string exif;
  std::string_view xmp;
  png_bytep block = nullptr;
  png_uint_32 size = 0;
  const bool has_block = png_get_eXIf_1(reader.png, reader.info, &size, &block) != 0;
  if (has_block) exif.assign(reinterpret_cast<const char*>(block), size);
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(reader.png, reader.info, &texts, &count);
  for (int i = 0; i < count; ++i) {
    const std::string_view key(texts[i].key);
    const std::string_view text(texts[i].text,
                                std::max(texts[i].text_length, texts[i].itxt_length));
    if (key == "XML:com.adobe.xmp") xmp = text;
    if (key == "Raw profile type exif" && !has_block) exif = raw_profile(text);
  }
  return image_orientation(exif, xmp);
}

}  // namespace

ImageSize png_size(const EncodedImage& file) {
  PngReader reader(file);
  const PngLayout layout = read_header(file, reader);
  return {layout.width, layout.height};
}

DecodedImage decode_png(const EncodedImage& file) {
  PngReader reader(file);
  const PngLayout layout = read_header(file, reader);
  const Palette palette = read_palette(reader);
  const int64_t width = layout.width, height = layout.height;
  const int64_t row_bytes = layout.pixel_bytes() * width;

  DecodedImage decoded{make_image(width, height)};
  // Passes of an interlaced image fill the same rows again, so all of them are kept.
  std::vector<uint8_t> rows(layout.passes == 1 ? row_bytes : row_bytes * height);
  for (int pass = 0; pass < layout.passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      uint8_t* row = &rows[layout.passes == 1 ? 0 : y * row_bytes];
      run(file, reader, [&] { png_read_row(reader.png, row, nullptr); });
      if (pass + 1 == layout.passes)
        row_to_rgb(layout, palette, row, &decoded.image.pixels[3 * width * y]);
    }
  }
  run(file, reader, [&] { png_read_end(reader.png, reader.info); });
  decoded.orientation = orientation_of(reader);
  return decoded;
}

}  // namespace caprl
