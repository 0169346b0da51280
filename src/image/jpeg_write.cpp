// libjpeg reports errors by longjmp; see jpeg.cpp.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>  // needs <cstdio> before it

#include "caprl/core/error.h"
#include "caprl/image/image.h"

namespace caprl {
namespace {

struct JpegWriter {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors = {};
  std::jmp_buf jump;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;

  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

[[noreturn]] void on_error(j_common_ptr info) {
  std::longjmp(static_cast<JpegWriter*>(info->client_data)->jump, 1);
}

/// False after an error of libjpeg. Owns no C++ objects that a jump could skip.
bool compress(JpegWriter& writer, const RgbImage& image, int quality) {
  jpeg_compress_struct& info = writer.info;
  info.err = jpeg_std_error(&writer.errors);
  writer.errors.error_exit = on_error;
  info.client_data = &writer;
  if (setjmp(writer.jump) != 0) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &writer.bytes, &writer.size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(&image.pixels[3 * image.width * info.next_scanline]);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

std::string encode_jpeg(const RgbImage& image, int quality) {
  JpegWriter writer;
  if (!compress(writer, image, quality)) throw Error("libjpeg could not write an image");
  return {reinterpret_cast<const char*>(writer.bytes), writer.size};
}

}  // namespace caprl
