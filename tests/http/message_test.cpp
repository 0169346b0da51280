#include "caprl/http/message.h"

#include <cstdlib>

#include "caprl/http/client.h"
#include "caprl/http/server.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(HttpMessage, ErrorsAreJson) {
  const HttpResponse response = http_error(404, "no \"x\"\n\xff");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(response.body,
            "{\"error\":{\"message\":\"no \\\"x\\\"\\n\xef\xbf\xbd\",\"status\":404}}");
}

TEST(HttpToken, ComesFromVariableOrFile) {
  const TempFolder folder;
  EXPECT_EQ(read_bearer_token("", ""), "");
  EXPECT_EQ(read_bearer_token("", folder.write("token", " s3cret\n")), "s3cret");
  ::setenv("CAPRL_TEST_TOKEN", "abc", 1);
  EXPECT_EQ(read_bearer_token("CAPRL_TEST_TOKEN", ""), "abc");
  ::unsetenv("CAPRL_TEST_TOKEN");
}

TEST(HttpToken, RefusesWhatIsNone) {
  const TempFolder folder;
  EXPECT_THAT(input_error([&] { read_bearer_token("CAPRL_TEST_TOKEN", ""); }),
              HasSubstr("the environment variable CAPRL_TEST_TOKEN is not set"));
  EXPECT_THAT(input_error([&] { read_bearer_token("A", "b"); }), HasSubstr("one of them"));
  EXPECT_THAT(input_error([&] { read_bearer_token("", folder / "none"); }),
              HasSubstr("token_file: "));
  EXPECT_THAT(input_error([&] { read_bearer_token("", folder.write("empty", "\n")); }),
              HasSubstr("is empty"));
  EXPECT_THAT(input_error([&] { read_bearer_token("", folder.write("two", "open sesame")); }),
              testing::AllOf(HasSubstr("without spaces"), Not(HasSubstr("sesame"))));
}

TEST(HttpToken, IsCompared) {
  EXPECT_TRUE(has_bearer_token("Bearer abc", "abc"));
  EXPECT_TRUE(has_bearer_token("bearer  abc ", "abc"));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer ab", "Bearer abd", "Bearer xbc",
                            "Bearer abcabc", "Bearer abcd", "Basic abc", "abc"})
    EXPECT_FALSE(has_bearer_token(wrong, "abc")) << wrong;
}

TEST(HttpConfig, DescribesItsFields) {
  EXPECT_THAT(config_to_yaml(HttpServerConfig{}), HasSubstr("max_requests: 256"));
  EXPECT_THAT(config_to_yaml(HttpClientConfig{}), HasSubstr("connect_timeout_s: 10"));
  EXPECT_THAT(config_to_yaml(HttpRetryConfig{}), HasSubstr("max_attempts: 6"));
}

}  // namespace
}  // namespace caprl
