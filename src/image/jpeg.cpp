// libjpeg-turbo with its defaults (accurate integer DCT, fancy upsampling), which are Pillow's.
//
// libjpeg reports errors by longjmp. `guarded` holds the only setjmp; what runs inside it owns no
// C++ objects, so a jump skips no destructor, and everything that must survive a jump lives in the
// caller's frame.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <string>

#include <jpeglib.h>  // needs <cstdio> before it

#include "caprl/core/error.h"
#include "codecs.h"
#include "exif.h"
#include "make_image.h"

namespace caprl {
namespace {

constexpr int kMetadataMarker = JPEG_APP0 + 1;  // EXIF and XMP
constexpr int kMaxMarkerLength = 0xFFFF;

struct JpegReader {
  jpeg_decompress_struct info = {};
  jpeg_error_mgr errors = {};
  jpeg_source_mgr source = {};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = {};

  explicit JpegReader(const EncodedImage& file);
  ~JpegReader() { jpeg_destroy_decompress(&info); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* reader = static_cast<JpegReader*>(info->client_data);
  info->err->format_message(info, reader->message);
  std::longjmp(reader->jump, 1);
}

// All bytes are there from the start: needing more means that the file ends too early. FALSE
// suspends the decoder.
boolean no_more_input(j_decompress_ptr) { return FALSE; }

void skip_input(j_decompress_ptr info, long num_bytes) {
  if (num_bytes <= 0) return;
  const size_t skipped = std::min(static_cast<size_t>(num_bytes), info->src->bytes_in_buffer);
  info->src->next_input_byte += skipped;
  info->src->bytes_in_buffer -= skipped;
}

JpegReader::JpegReader(const EncodedImage& file) {
  info.err = jpeg_std_error(&errors);
  errors.error_exit = on_error;
  errors.output_message = [](j_common_ptr) {};  // warnings: Pillow is silent about them too
  info.client_data = this;
  source.init_source = [](j_decompress_ptr) {};
  source.fill_input_buffer = no_more_input;
  source.skip_input_data = skip_input;
  source.resync_to_restart = jpeg_resync_to_restart;
  source.term_source = [](j_decompress_ptr) {};
  source.next_input_byte = file.data();
  source.bytes_in_buffer = file.bytes.size();
}

/// False after an error of libjpeg, whose sentence is then in reader.message.
template <class Step>
bool guarded(JpegReader& reader, Step step) {
  if (setjmp(reader.jump) != 0) return false;
  step();
  return true;
}

/// Runs one step of libjpeg, which returns false if it needs more input than there is.
template <class Step>
void run(const EncodedImage& file, JpegReader& reader, Step step) {
  bool complete = false;
  if (!guarded(reader, [&] { complete = step(); }))
    throw InputError("{}: corrupt JPEG: {}", file.name, reader.message);
  if (!complete) throw InputError("{}: truncated JPEG: the data end too early", file.name);
}

int orientation_of(const JpegReader& reader) {
  constexpr std::string_view kExif("Exif\0\0", 6), kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  std::string exif, xmp;
  for (const jpeg_marker_struct* m = reader.info.marker_list; m != nullptr; m = m->next) {
    const std::string_view data(reinterpret_cast<const char*>(m->data), m->data_length);
    if (data.starts_with(kExif)) exif += data.substr(kExif.size());  // may span several markers
    if (data.starts_with(kXmp)) xmp = data.substr(kXmp.size());
  }
  return image_orientation(exif, xmp);
}

/// Pillow takes CMYK files as inverted, as Adobe writes them, and mixes r = k·c/255, rounded.
void cmyk_to_rgb(const uint8_t* from, int64_t width, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x, from += 4, to += 3) {
    const int light = from[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * light + 128;
      const int ink = ((product >> 8) + product) >> 8;
      to[c] = static_cast<uint8_t>(std::max(light - ink, 0));
    }
  }
}

void read_header(const EncodedImage& file, JpegReader& reader) {
  jpeg_decompress_struct& info = reader.info;
  run(file, reader, [&] {
    jpeg_create_decompress(&info);  // clears everything but err and client_data
    info.src = &reader.source;
    jpeg_save_markers(&info, kMetadataMarker, kMaxMarkerLength);
    return jpeg_read_header(&info, TRUE) == JPEG_HEADER_OK;
  });
  check_size(file, info.image_width, info.image_height);
}

void start(const EncodedImage& file, JpegReader& reader) {
  read_header(file, reader);
  jpeg_decompress_struct& info = reader.info;
  const int components = info.num_components;
  if (components != 1 && components != 3 && components != 4)
    throw InputError("{}: JPEG with {} components; 1, 3 and 4 are supported", file.name,
                     components);
  info.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
  run(file, reader, [&] { return jpeg_start_decompress(&info) == TRUE; });
}

}  // namespace

ImageSize jpeg_size(const EncodedImage& file) {
  JpegReader reader(file);
  read_header(file, reader);
  return {reader.info.image_width, reader.info.image_height};
}

DecodedImage decode_jpeg(const EncodedImage& file) {
  JpegReader reader(file);
  start(file, reader);
  jpeg_decompress_struct& info = reader.info;
  const int64_t width = info.output_width, height = info.output_height;
  const int components = info.output_components;

  DecodedImage decoded{make_image(width, height), orientation_of(reader)};
  std::vector<uint8_t> row(components == 3 ? 0 : components * width);
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* to = &decoded.image.pixels[3 * width * y];
    uint8_t* line = components == 3 ? to : row.data();
    run(file, reader, [&] { return jpeg_read_scanlines(&info, &line, 1) == 1; });
    if (components == 1) {
      for (int64_t x = 0; x < width; ++x) to[3 * x] = to[3 * x + 1] = to[3 * x + 2] = row[x];
    } else if (components == 4) {
      cmyk_to_rgb(row.data(), width, to);
    }
  }
  run(file, reader, [&] { return jpeg_finish_decompress(&info) == TRUE; });  // reads the end marker
  return decoded;
}

}  // namespace caprl
