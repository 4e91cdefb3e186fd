import Foundation
import TestSupport
import Testing

/// How processes are started, by a process whose own state is unusual.
@Suite struct ProcessStartTests {
    /// Starts programs with any of its standard streams closed, and below a lower hard limit; it ends with the number of
    /// what went wrong first.
    private static let driver = """
        #include "cplatform_process.h"
        #include <errno.h>
        #include <fcntl.h>
        #include <sys/resource.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static char *environment[] = {0};

        static int ends(const char *path, char *const *arguments, int null, uint64_t space, int *status) {
            struct cplatform_start start = {path, arguments, environment, null, null, null, 0, space};
            pid_t child;
            int code = cplatform_start_process(&start, &child);
            if (code == 0) waitpid(child, status, 0);
            return code;
        }

        int main(void) {
            int null = fcntl(open("/dev/null", O_RDWR), F_DUPFD_CLOEXEC, 10), status = -1;
            char *none[] = {"none", 0}, *shell[] = {"sh", "-c", "test $(ulimit -v) = 1048576", 0};
            struct rlimit limit = {1 << 30, 1 << 30};
            if (setrlimit(RLIMIT_AS, &limit) != 0) return 1;
            if (ends("/bin/sh", shell, null, 1ull << 40, &status) != 0 || status != 0) return 2;
            shell[2] = "test $(ulimit -v) = 524288";
            if (ends("/bin/sh", shell, null, 1ull << 29, &status) != 0 || status != 0) return 3;
            for (int closed = 0; closed < 8; closed++) {
                for (int stream = 0; stream < 3; stream++) dup2(null, stream);
                for (int stream = 0; stream < 3; stream++) if (closed >> stream & 1) close(stream);
                if (ends("/no/such/program", none, null, 0, &status) != ENOENT) return 10 + closed;
                // Without an input of its own it reads nothing, and does not find it closed.
                shell[2] = "read -r line; test -e /dev/fd/0";
                if (ends("/bin/sh", shell, -1, 0, &status) != 0 || status != 0) return 20 + closed;
            }
            return 0;
        }
        """

    @Test(.enabled(if: Preload.compiler != nil, "there is no C compiler"))
    func aProcessIsStartedWhateverIsClosed() throws {
        try withTemporaryFolder { folder in
            let sources = "\(QuickStartTests.repository)/Sources/CPlatform"
            try EndToEndTests.write(Self.driver, "\(folder)/driver.c")
            try Preload.compile([
                "-I\(sources)/include", "-o", "\(folder)/driver", "\(folder)/driver.c", "\(sources)/process.c",
            ])
            let process = Process()
            process.executableURL = URL(filePath: "\(folder)/driver")
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
    }
}
