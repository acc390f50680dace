"""Every field of the package comes from `settings.ini`; `firmware/` travels in the wheel as `tinyformer/firmware`."""
import configparser, shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
README = HERE/'README.md'
parser = configparser.ConfigParser(delimiters=['='], interpolation=configparser.ExtendedInterpolation())
parser.read(HERE/'settings.ini', encoding='utf-8')
cfg = parser['DEFAULT']

LICENSES = {'apache2': 'Apache-2.0'}
STATUSES = ['', '1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable', '6 - Mature',
            '7 - Inactive']
PYTHONS = ['3.10', '3.11', '3.12', '3.13', '3.14']


class BuildWithFirmware(build_py):
    "Copy the C sources and their licence into the package when a wheel is built; a checkout uses them where they lie."

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False): return
        for src in self._firmware():
            dst = Path(self.build_lib)/cfg['lib_name']/src.relative_to(HERE)
            self.mkpath(str(dst.parent))
            shutil.copyfile(src, dst)

    def get_outputs(self, include_bytecode=1):
        out = super().get_outputs(include_bytecode)
        if getattr(self, 'editable_mode', False): return out
        return out + [str(Path(self.build_lib)/cfg['lib_name']/o.relative_to(HERE)) for o in self._firmware()]

    @staticmethod
    def _firmware():
        kinds = {'.c', '.h', '.s', '.S', '.ld', '.md', '.in', '.mk', '.txt', '.json'}
        files = sorted(o for o in (HERE/'firmware').rglob('*') if o.is_file())
        return [HERE/'LICENSE', *(o for o in files if o.suffix in kinds or o.name == 'Makefile')]


setup(
    name=cfg['lib_name'],
    version=cfg['version'],
    description=cfg['description'],
    long_description=README.read_text(encoding='utf-8') if README.exists() else cfg['description'],
    long_description_content_type='text/markdown',
    author=cfg['author'],
    author_email=cfg['author_email'],
    license=LICENSES[cfg['license']],
    keywords=cfg['keywords'].split(),
    url=cfg['git_url'],
    project_urls={'Documentation': cfg['doc_host'] + cfg['doc_baseurl']},
    classifiers=[f"Development Status :: {STATUSES[int(cfg['status'])]}",
                 f"Intended Audience :: {cfg['audience']}",
                 'Intended Audience :: Education',
                 f"Natural Language :: {cfg['language']}",
                 'Topic :: Scientific/Engineering :: Artificial Intelligence',
                 'Topic :: Software Development :: Embedded Systems']
                + [f'Programming Language :: Python :: {o}' for o in PYTHONS[PYTHONS.index(cfg['min_python']):]],
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=[cfg['lib_path'], cfg['lib_path'] + '.*']),
    package_data={cfg['lib_name']: ['cost_table*.json', 'peers.json', 'placement.c', 'memory_system.c',
                                    'networks/*.json', 'models/*.json', 'models/*.tfm',
                                    'web/*.js', 'web/*.css']},
    include_package_data=False,
    zip_safe=False,
    install_requires=cfg['requirements'].split(),
    extras_require={extra: cfg[f'{extra}_requirements'].split() for extra in ('board', 'dev', 'lab', 'onnx')},
    entry_points={'console_scripts': cfg['console_scripts'].split(),
                  'nbdev': [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},
    cmdclass={'build_py': BuildWithFirmware},
)
