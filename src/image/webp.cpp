// libwebp through its animation decoder, as Pillow does: a still image is an animation of one
// frame, and a first frame smaller than the canvas lies on transparent black.
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "caprl/core/error.h"
#include "codecs.h"
#include "exif.h"
#include "make_image.h"

namespace caprl {
namespace {

struct DeleteDecoder {
  void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
};
struct DeleteDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

std::string_view chunk(const WebPDemuxer* demuxer, const char* name) {
  WebPChunkIterator iterator;
  if (WebPDemuxGetChunk(demuxer, name, 1, &iterator) == 0) return {};
  const std::string_view content(reinterpret_cast<const char*>(iterator.chunk.bytes),
                                 iterator.chunk.size);  // lies in the file's bytes
  WebPDemuxReleaseChunkIterator(&iterator);
  return content;
}

/// Bytes that the RIFF header promises, itself included.
uint64_t promised_size(const EncodedImage& file) {
  uint64_t size = 0;
  for (int i = 7; i >= 4; --i) size = size << 8 | file.data()[i];
  return size + 8;
}

using Demuxer = std::unique_ptr<WebPDemuxer, DeleteDemuxer>;

Demuxer open(const EncodedImage& file) {
  if (file.bytes.size() < promised_size(file))
    throw InputError("{}: truncated WebP: {} bytes, the header promises {}", file.name,
                     file.bytes.size(), promised_size(file));
  const WebPData data{file.data(), file.bytes.size()};
  Demuxer demuxer(WebPDemux(&data));
  if (demuxer == nullptr) throw InputError("{}: corrupt WebP: not a complete container", file.name);
  return demuxer;
}

ImageSize canvas(const EncodedImage& file, const Demuxer& demuxer) {
  const ImageSize size{WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                       WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT)};
  check_size(file, size.width, size.height);
  return size;
}

}  // namespace

ImageSize webp_size(const EncodedImage& file) { return canvas(file, open(file)); }

DecodedImage decode_webp(const EncodedImage& file) {
  const WebPData data{file.data(), file.bytes.size()};
  const Demuxer demuxer = open(file);
  const auto [width, height] = canvas(file, demuxer);

  const std::unique_ptr<WebPAnimDecoder, DeleteDecoder> decoder(WebPAnimDecoderNew(&data, nullptr));
  uint8_t* frame = nullptr;
  int timestamp = 0;
  if (decoder == nullptr || WebPAnimDecoderGetNext(decoder.get(), &frame, &timestamp) == 0)
    throw InputError("{}: corrupt WebP: the image data cannot be decoded", file.name);

  DecodedImage decoded{make_image(width, height)};
  uint8_t* to = decoded.image.pixels.data();
  for (int64_t i = 0; i < width * height; ++i, frame += 4, to += 3)
    to[0] = frame[0], to[1] = frame[1], to[2] = frame[2];
  decoded.orientation =
      image_orientation(chunk(demuxer.get(), "EXIF"), chunk(demuxer.get(), "XMP "));
  return decoded;
}

}  // namespace caprl
