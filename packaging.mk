# Installing and packaging. `make install` honours DESTDIR and PREFIX; `make deb` and `make dist` write to build/.

# The one place of the version.
VERSION := $(shell sed -n 's/^\#define VMM_VERSION "\(.*\)"/\1/p' config/options.h)
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/vmm
BASH_COMPLETIONS = $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(PREFIX)/share/zsh/site-functions

install: vmm
	install -D -m 755 vmm $(DESTDIR)$(PREFIX)/bin/vmm
	install -D -m 755 guest/vmm-extract-kernel $(DESTDIR)$(PREFIX)/bin/vmm-extract-kernel
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man1 vmm.1 vmm-extract-kernel.1
	install -D -m 644 completions/vmm.bash $(DESTDIR)$(BASH_COMPLETIONS)/vmm
	install -D -m 644 completions/_vmm $(DESTDIR)$(ZSH_COMPLETIONS)/_vmm
	install -d $(DESTDIR)$(DOCDIR)/docs $(DESTDIR)$(DOCDIR)/examples
	install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE $(DESTDIR)$(DOCDIR)
	install -m 644 docs/*.md $(DESTDIR)$(DOCDIR)/docs
	install -m 755 examples/* $(DESTDIR)$(DOCDIR)/examples

deb: vmm
	+$(Q)packaging/deb $(VERSION)

# The committed tree. It builds without git.
dist:
	@mkdir -p build
	$(Q)git archive --format=tar --prefix=vmm-$(VERSION)/ HEAD | gzip -9n >build/vmm-$(VERSION).tar.gz
	@echo "  build/vmm-$(VERSION).tar.gz"

.PHONY: install deb dist
