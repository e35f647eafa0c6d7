# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models of one Ollama server. Private to this collection.

::

    names       model names, read and compared as Ollama does                                  (pure)
    wanted      the list of models as the user wrote it, read and checked                       (pure)
    create      what a created model is made of, and whether one is as declared                 (pure)
    plan        what has to be known before, and what must change                               (pure)
    client      Ollama's API: one method for one request
    registry    a model's manifest, by one request to its registry
    gguf        the head of a GGUF file
    container   an Ollama's container, as the engine of the box describes it
    verify      finds and removes blobs and manifests that are not what their names say
    look        finds out what the plan has to know
    checks      what has to fit before the first byte is fetched
    puller      a short-lived clone of an Ollama container that may reach the registry
    pull        one model's download: progress, stalls, new attempts
    apply       carries out the plan for the whole list
    result      what a run of ollama_model returns
    task        one call of ollama_model
    info        one call of ollama_model_info
"""
