# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models of one Ollama server. Private to this collection.

::

    names       model names, read and compared as Ollama does                                  (pure)
    plan        what the list asks for, what has to be known first, what must change            (pure)
    create      what a created model is made of, and whether one is as declared                 (pure)
    gguf        the head of a GGUF file                                                         (pure)
    client      Ollama's API: one method for one request
    registry    a model's manifest, by one request to its registry
    puller      a short-lived clone of an Ollama container that may reach the registry
    verify      finds and removes blobs and manifests that are not what their names say
    pull        one model's download: progress, stalls, new attempts
    apply       finds out, checks and carries out the plan for the whole list
    info        what ollama_model_info reports
"""
