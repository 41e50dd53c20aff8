# SPDX-License-Identifier: MIT
# Installing and packaging. `make install` honours DESTDIR and PREFIX; `make deb` and `make dist` write to build/, or O.

# The one place of the version.
VERSION := $(shell sed -n 's/^\#define VMM_VERSION "\(.*\)"/\1/p' config/options.h)
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/vmm
BASH_COMPLETIONS = $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS = $(PREFIX)/share/zsh/site-functions

install: $(VMM)
	install -D -m 755 $(VMM) $(DESTDIR)$(PREFIX)/bin/vmm
	install -D -m 755 guest/vmm-extract-kernel $(DESTDIR)$(PREFIX)/bin/vmm-extract-kernel
	install -D -m 644 -t $(DESTDIR)$(MANDIR)/man1 vmm.1 vmm-extract-kernel.1
	install -D -m 644 completions/vmm.bash $(DESTDIR)$(BASH_COMPLETIONS)/vmm
	install -D -m 644 completions/_vmm $(DESTDIR)$(ZSH_COMPLETIONS)/_vmm
	install -d $(DESTDIR)$(DOCDIR)/docs
	install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE $(DESTDIR)$(DOCDIR)
	install -m 644 docs/*.md $(DESTDIR)$(DOCDIR)/docs
	$(Q)find examples -type f -exec sh -ec 'for file; do \
		install -D -m $$([ -x $$file ] && echo 755 || echo 644) $$file "$(DESTDIR)$(DOCDIR)/$$file"; done' - {} +
	packaging/unlink-missing $(DESTDIR)$(DOCDIR)

deb: $(VMM)
	+$(Q)packaging/deb $(VERSION) $(O)

# The committed tree. It builds without git.
dist:
	@mkdir -p $(O)
	$(Q)git archive --format=tar --prefix=vmm-$(VERSION)/ HEAD | gzip -9n >$(O)/vmm-$(VERSION).tar.gz
	@echo "  $(O)/vmm-$(VERSION).tar.gz"

.PHONY: install deb dist
